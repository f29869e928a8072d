/*
 * Published handshakes to check noise.c against: the cacophony test vectors, as the snow
 * project publishes them (mcginty/snow, tests/vectors/cacophony.txt), for the two
 * patterns that noise.c knows. All figures are hexadecimal.
 */
#ifndef TESTS_UNIT_NOISE_VECTORS_H
#define TESTS_UNIT_NOISE_VECTORS_H

struct noise_vector {
	const char *name;
	const char *prologue;
	const char *psk; /* NULL: a pattern without */
	const char *init_static, *init_ephemeral;
	const char *resp_static, *resp_ephemeral;
	const char *resp_public; /* known to the initiator before */
	const char *handshake_hash;
	struct {
		const char *payload, *ciphertext;
	} messages[6]; /* two of the handshake, then transport, initiator first */
};

static const struct noise_vector noise_vectors[] = {
	{
		.name = "Noise_IK_25519_ChaChaPoly_SHA256",
		.prologue = "4a6f686e2047616c74",
		.psk = NULL,
		.init_static = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
		.init_ephemeral = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
		.resp_static = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
		.resp_ephemeral = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
		.resp_public = "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
		.handshake_hash = "0b0f68fb0c27e03ce9b97565995ed4838cc0581b762ef72b062f6a546419fad7",
		.messages = {
			{ "4c756477696720766f6e204d69736573",
			  "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944718da798"
			  "efbcd91528520204f904b9bd6c7413dccdc214d951e15253e39987f18146e8cd08736542"
			  "07148333479d4d16c289f0294b29960a72f48e0b7bba2e89083169825e59642148d49202"
			  "0664ccf7" },
			{ "4d757272617920526f746862617264",
			  "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088435361e70b"
			  "2ed446e6c9ec387d1d6b3b840f194e373979d241b203c4acafccf5" },
			{ "462e20412e20486179656b",
			  "050e9f3c8fac16b68dbce8f8c4bfbf6617c897f9ada4aa29aa19c8" },
			{ "4361726c204d656e676572",
			  "344233a6cabb7141d80f3da2fedc311d9646bbb0f505afe403a667" },
			{ "4a65616e2d426170746973746520536179",
			  "62cdeeb172ad7ade7aa7d9e069da5790f12331bfa00177787a1d0810c67dc3b2b4" },
			{ "457567656e2042f6686d20766f6e2042617765726b",
			  "029bead1b40992327044d409d9a1f3ad8f36c3c452775d557e18bbeb2e8dfcead32d5140"
			  "24" },
		},
	},
	{
		.name = "Noise_IKpsk2_25519_ChaChaPoly_SHA256",
		.prologue = "4a6f686e2047616c74",
		.psk = "54686973206973206d7920417573747269616e20706572737065637469766521",
		.init_static = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
		.init_ephemeral = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
		.resp_static = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
		.resp_ephemeral = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
		.resp_public = "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
		.handshake_hash = "8310f86394dc0dabb40beb8210031556db4403ab1202db7034c526232147a700",
		.messages = {
			{ "4c756477696720766f6e204d69736573",
			  "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79442ec9b098"
			  "93d0f510791784c10cbc959f25b1766e0def6e301d14fbca1c7790ac829b8b3674f5f649"
			  "a5f0e98479662cbfbf2b2c47cd4b09fcd266cd29d7cb675f1808849707847840f6d178ec"
			  "4d3733aa" },
			{ "4d757272617920526f746862617264",
			  "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088439a1b3ceb"
			  "f680b2c74217fcb5eba4ff58a9468cd90c4aca6194f57479b379a7" },
			{ "462e20412e20486179656b",
			  "a8fde7a0accec190cd306c5950d4fd8e04a205ec288aa747d8b347" },
			{ "4361726c204d656e676572",
			  "59caddd9984a3bbe24c4fb31a2bd455b7eba3fa0980674b1a3a5f9" },
			{ "4a65616e2d426170746973746520536179",
			  "3b9bfebd210c22ba0cff9de79b4007d7a552fffbf92616881faa8a883e25b80258" },
			{ "457567656e2042f6686d20766f6e2042617765726b",
			  "f37512df1043d564d7c46ac85c53d3b6a9a05724bc297e7142808f217561651217fe85b7"
			  "82" },
		},
	},
};

#endif
