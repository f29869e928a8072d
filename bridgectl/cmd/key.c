/*
 * `bridgectl keygen`, `pubkey`, `genpsk`: keys as `wg` makes them. None of them needs the
 * daemon. Keys are wiped from memory after use.
 */
#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

#include "bridgectl/cmd/cmds.h"
#include "common/addr.h"
#include "common/key.h"
#include "common/names.h"

#define KEY_FILE "/etc/l2tund/private.key"
#define INPUT_BYTES 256 /* enough to see that it is more than a key */
enum { OPTION_INIT, OPTION_FILE };

static void print_key(struct cmd_call *call, const char *name, const struct key *k)
{
	char text[KEY_STRLEN];
	json_t *v;

	key_format(k, text);
	if (call->json) {
		v = json_pack("{s:s}", name, text);
		out_json(&call->out, v, false);
		json_decref(v);
	} else {
		out_line(&call->out, STYLE_NONE, "%s", text);
	}
	explicit_bzero(text, sizeof(text));
}

/* `bridgectl keygen > file` under a usual umask makes a key that everybody can read. */
static void warn_readable_output(void)
{
	struct stat st;

	if (!fstat(STDOUT_FILENO, &st) && S_ISREG(st.st_mode) && (st.st_mode & 077))
		cmd_error("warning: others can read the file that this secret goes to; "
			  "chmod 600 it, and use umask 077 next time");
}

static enum exit_code random_failed(int r)
{
	cmd_error("cannot make a key: %s", strerror(-r));
	return EXIT_FAILED;
}

/* The folder is only made, never changed; its parent must exist. */
static int make_folder(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	if (mkdir(dirname(copy), 0700) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* The host's short name, in the characters that names may have. */
static void host_name(char *buf, size_t size)
{
	if (gethostname(buf, size) < 0)
		buf[0] = '\0';
	buf[size - 1] = '\0';
	buf[strcspn(buf, ".")] = '\0';
	for (char *p = buf; *p; p++)
		if (!(*p >= '0' && *p <= '9') && !((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') &&
		    *p != '_' && *p != '-')
			*p = '-';
	if (!name_valid(buf, NAME_MAX_LEN))
		snprintf(buf, size, "this-host");
}

static void print_peer_block(struct cmd_call *call, const char *file, const char *public_key)
{
	struct out *o = &call->out;
	char name[NAME_MAX_LEN + 1];
	json_t *v;

	host_name(name, sizeof(name));
	if (call->json) {
		v = json_pack("{s:s, s:s, s:s}", "file", file, "public_key", public_key, "name",
			      name);
		out_json(o, v, false);
		json_decref(v);
		return;
	}
	out_line(o, STYLE_NONE, "# The private key is in %s. Public key: %s", file, public_key);
	out_line(o, STYLE_NONE, "# Paste this into /etc/l2tund/l2tund.conf on the other host:");
	out_line(o, STYLE_NONE, "%s", "");
	out_line(o, STYLE_NONE, "peer \"%s\" {", name);
	out_line(o, STYLE_NONE, "    public-key = \"%s\"", public_key);
	out_line(o, STYLE_NONE,
		 "    # This host as the other one reaches it; without it this one has to call.");
	out_line(o, STYLE_NONE, "    address    = \"%s:%d\"", name, L2TUND_PORT);
	out_line(o, STYLE_NONE, "}");
}

static enum exit_code keygen_init(struct cmd_call *call, const struct key *k)
{
	const char *file = call->options[OPTION_FILE] ? call->options[OPTION_FILE] : KEY_FILE;
	char text[KEY_STRLEN];
	struct key public;
	int r;

	r = key_derive_public(k, &public);
	if (r < 0)
		return random_failed(r);
	r = make_folder(file);
	if (r == 0)
		r = key_write_file(file, k);
	if (r == -EEXIST)
		cmd_error("%s exists already and is not overwritten; `bridgectl pubkey < %s` "
			  "prints its public key",
			  file, file);
	else if (r < 0)
		cmd_error("%s: cannot write the key: %s%s", file, strerror(-r),
			  r == -EACCES ? "; run this as root, or choose another --file" : "");
	if (r < 0)
		return EXIT_FAILED;
	print_peer_block(call, file, key_format(&public, text));
	return EXIT_DONE;
}

enum exit_code cmd_keygen(struct cmd_call *call)
{
	enum exit_code code = EXIT_DONE;
	struct key k;
	int r;

	if (call->options[OPTION_FILE] && !call->options[OPTION_INIT]) {
		cmd_error(
			"keygen: --file goes with --init; alone, the key goes to standard output");
		return EXIT_USAGE;
	}
	r = key_generate_private(&k);
	if (r < 0)
		return random_failed(r);
	if (call->options[OPTION_INIT]) {
		code = keygen_init(call, &k);
	} else {
		warn_readable_output();
		print_key(call, "private_key", &k);
	}
	key_wipe(&k);
	return code;
}

enum exit_code cmd_pubkey(struct cmd_call *call)
{
	struct key priv, public;
	char text[INPUT_BYTES];
	size_t n = fread(text, 1, sizeof(text) - 1, stdin);
	int r;

	text[n] = '\0';
	r = strlen(text) == n ? key_parse(text, &priv) : -EINVAL;
	if (r == 0)
		r = key_derive_public(&priv, &public);
	explicit_bzero(text, sizeof(text));
	key_wipe(&priv);
	if (r < 0) {
		cmd_error("pubkey: standard input holds no private key; expected one line of 44 "
			  "base64 characters, as keygen prints it");
		return EXIT_FAILED;
	}
	print_key(call, "public_key", &public);
	return EXIT_DONE;
}

enum exit_code cmd_genpsk(struct cmd_call *call)
{
	struct key k;
	int r = key_generate_psk(&k);

	if (r < 0)
		return random_failed(r);
	warn_readable_output();
	print_key(call, "preshared_key", &k);
	key_wipe(&k);
	return EXIT_DONE;
}
