/* The line of a running copy: what it says, and that it never is wider than it may be. */
#include "bridgectl/cmd/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridgectl/transfer/predict.h"

static struct conduct_state copying(void)
{
	return (struct conduct_state){
		.phase = PHASE_PASS,
		.id = "",
		.source = "/a",
		.target = "/b",
		.kind = "full",
		.covered = UINT64_C(63) << 30,
		.total = UINT64_C(100) << 30,
		.rate = 100 << 20,
		.dirty_rate = -1,
		.eta_s = 379,
		.downtime_s = PREDICT_UNKNOWN,
	};
}

static void words(void **state)
{
	struct conduct_state st = copying();
	char line[PROGRESS_LINE_LEN];

	(void)state;
	assert_string_equal(progress_line(&st, 0, false, line),
			    "copying   63 %  6 min left  100 MiB/s  63.0 GiB of 100 GiB");
	assert_string_equal(progress_line(&st, 40, false, line),
			    "copying  #######.....   63 %  6 min left");
	st.phase = PHASE_WAIT;
	st.warm = st.tracking = true;
	st.dirty = 12 << 20;
	st.dirty_rate = 1 << 20;
	st.downtime_s = 2.34;
	assert_string_equal(
		progress_line(&st, 0, false, line),
		"waiting for disk finish  dirty 12.0 MiB (+1.00 MiB/s)  downtime 2.3 s");
}

static void not_done_before_the_end(void **state)
{
	struct conduct_state st = copying();
	char line[PROGRESS_LINE_LEN];

	(void)state;
	st.covered = st.total - 1;
	assert_non_null(strstr(progress_line(&st, 80, false, line), " 99 %"));
	st.covered = st.total;
	assert_non_null(strstr(progress_line(&st, 80, false, line), "100 %"));
	st.covered = st.total = 0;
	assert_non_null(strstr(progress_line(&st, 80, false, line), "100 %"));
}

static void any_width(void **state)
{
	struct conduct_state st = copying();
	char line[PROGRESS_LINE_LEN];

	(void)state;
	for (unsigned p = PHASE_START; p <= PHASE_DONE; p++)
		for (unsigned width = 1; width < 300; width++)
			for (unsigned kind = 0; kind < 8; kind++) {
				st.phase = (enum conduct_phase)p;
				st.warm = st.tracking = kind & 1;
				st.final = kind & 2;
				st.kind = kind & 4 ? "dirty" : "full";
				st.dirty_rate = 1e12;
				st.downtime_s = 1e6;
				progress_line(&st, width, kind & 1, line);
				assert_true(out_columns(line) <= width);
			}
}

/* What another program said may be in another character set; a note is an object all the same. */
static void note_of_any_bytes(void **state)
{
	char *text = NULL;
	size_t size;
	struct out o = { .f = open_memstream(&text, &size), .json = true };
	struct progress p;
	struct conduct_ui ui;
	json_t *j;

	(void)state;
	progress_init(&p, &o);
	ui = progress_ui(&p);
	ui.say(ui.arg, "ssh: r\xe9seau");
	fclose(o.f);
	j = json_loads(text, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(j, "event")), "note");
	assert_string_equal(json_string_value(json_object_get(j, "text")), "ssh: r?seau");
	json_decref(j);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(not_done_before_the_end),
		cmocka_unit_test(any_width),
		cmocka_unit_test(note_of_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
