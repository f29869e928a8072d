/* Every word of the contract has its text, and names are what the documentation says. */
#include "common/names.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void valid_names(void **state)
{
	(void)state;
	assert_true(name_valid("a", 1));
	assert_true(name_valid("br-sv_1.2", 15));
	assert_true(name_valid("_x", 31));
	assert_true(name_valid("0", 31));
	assert_true(name_valid("abcdefghijklmno", 15));
}

static void invalid_names(void **state)
{
	(void)state;
	assert_false(name_valid("", 31));
	assert_false(name_valid("abcdefghijklmnop", 15));
	assert_false(name_valid("-a", 31));
	assert_false(name_valid(".a", 31));
	assert_false(name_valid("a b", 31));
	assert_false(name_valid("a/b", 31));
	assert_false(name_valid("a\n", 31));
	assert_false(name_valid("b\xc3\xbc", 31));
}

static void states(void **state)
{
	static const char *const words[] = { "refused", "down",	      "handshake", "prepare",
					     "standby", "forwarding", "blocked",   "latched" };

	(void)state;
	assert_int_equal(TUNNEL_STATES, 8);
	for (int i = 0; i < TUNNEL_STATES; i++)
		assert_string_equal(tunnel_state_name((enum tunnel_state)i), words[i]);
	assert_string_equal(tunnel_state_name(TUNNEL_STATES), "?");
}

static void reasons(void **state)
{
	static const char *const words[] = {
		"",	 "parallel",  "cycle",	  "priority",  "admin",	  "foreign",	 "watchdog",
		"storm", "recursion", "one-way",  "no-bridge", "no-peer", "unreachable", "remote",
		"port",	 "lease",     "identity", "overflow",
	};

	(void)state;
	assert_int_equal(TUNNEL_REASONS, sizeof(words) / sizeof(words[0]));
	for (int i = 0; i < TUNNEL_REASONS; i++)
		assert_string_equal(tunnel_reason_name((enum tunnel_reason)i), words[i]);
	assert_string_equal(tunnel_reason_name(TUNNEL_REASONS), "?");
}

static void modes(void **state)
{
	enum data_mode m = DATA_MODES;

	(void)state;
	assert_int_equal(data_mode_parse("aead", &m), 0);
	assert_int_equal(m, DATA_AEAD);
	assert_int_equal(data_mode_parse("auth", &m), 0);
	assert_int_equal(m, DATA_AUTH);
	assert_int_equal(data_mode_parse("none", &m), 0);
	assert_int_equal(m, DATA_NONE);
	assert_int_equal(data_mode_parse("AEAD", &m), -EINVAL);
	assert_int_equal(data_mode_parse("", &m), -EINVAL);
	assert_int_equal(m, DATA_NONE); /* untouched on failure */
	assert_string_equal(data_mode_name(DATA_AUTH), "auth");
	assert_string_equal(data_mode_name(DATA_MODES), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_names), cmocka_unit_test(invalid_names),
		cmocka_unit_test(states),      cmocka_unit_test(reasons),
		cmocka_unit_test(modes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
