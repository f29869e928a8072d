/*
 * The conductor against ends that this program plays itself: a local end is started from
 * /proc/self/exe, which is this test, with "agent" as first argument. What an end does wrong is
 * in $FAKE, a word for each thing, and what it was asked goes to a file that the test reads.
 */
#include "bridgectl/transfer/conductor.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridgectl/transfer/jobs.h"
#include "common/jsonline.h"
#include "common/util.h"

#define BYTES 1000000

/* --- The end --- */

static char role;
static FILE *asked;
static unsigned passes_seen, dirty_asked;

static bool fake(const char *word)
{
	const char *all = getenv("FAKE"), *at = all ? strstr(all, word) : NULL;

	return at && (at[strlen(word)] == ' ' || !at[strlen(word)]);
}

static void reply(json_t *line)
{
	size_t len;
	char *text = jsonline_dump(line, &len);

	if (write(STDOUT_FILENO, text, len) < 0)
		_exit(1);
	free(text);
	json_decref(line);
}

static json_t *error_of(const char *code, const char *message)
{
	return json_pack("{ss ss}", "code", code, "message", message);
}

static json_t *counters(const char *kind)
{
	json_int_t dirty = fake("dirties") && passes_seen < 3 ? 65536 : 0;

	return json_pack("{sI sI sI sI sI sI sI sI sb}", "covered_bytes", (json_int_t)BYTES,
			 "total_bytes", (json_int_t)BYTES, "read_bytes",
			 (json_int_t)(strcmp(kind, "dirty") != 0 ? BYTES : 65536), "sent_bytes",
			 (json_int_t)65536, "wire_bytes", (json_int_t)65536, "zero_bytes",
			 (json_int_t)0, "same_bytes", (json_int_t)0, "dirty_bytes", dirty, "lost",
			 fake("lost"));
}

/* True: no answer yet, the request goes on until "stop". */
static bool answer_pass(json_int_t id, const char *kind, json_t **ret)
{
	json_t *event = counters(kind);

	passes_seen++;
	json_object_set_new(event, "event", json_string("progress"));
	json_object_set_new(event, "covered_bytes", json_integer(BYTES * 63 / 100));
	reply(event);
	if (fake("die-in-pass"))
		raise(SIGKILL);
	if (fake("die-once")) {
		/* The file tells later ones that it has happened. */
		if (mkdir(getenv("FAKE_ONCE"), 0700) == 0)
			raise(SIGKILL);
	}
	if (fake("hang-in-pass"))
		return true;
	*ret = counters(kind);
	if (!strcmp(kind, "verify") && fake("differs")) {
		json_object_set_new(*ret, "mismatches", json_pack("[i,i]", 65536, 196608));
		json_object_set_new(*ret, "mismatched_bytes", json_integer(1234));
	}
	(void)id;
	return false;
}

static json_t *answer(const char *method, const json_t *params, json_t **ret_error)
{
	if (!strcmp(method, "hello"))
		return json_pack("{si ss}", "version", fake("old") ? 7 : 1, "role", "x");
	if (!strcmp(method, "open") && role == 's')
		return json_pack("{ss sI ss}", "identity", "disk", "bytes", (json_int_t)BYTES,
				 "track", "");
	if (!strcmp(method, "open") && fake("refuse")) {
		*ret_error = error_of("refused", "it is mounted on /mnt");
		return NULL;
	}
	if (!strcmp(method, "open"))
		return json_pack("{ss ss sb sb si sb si}", "identity", "t", "seed", "00ff",
				 "resumed", fake("resumed") || fake("second"), "doubt",
				 fake("doubt"), "pass", fake("second") ? 1 : 0, "pass_ended",
				 fake("second"), "known_bytes", fake("resumed") ? BYTES / 2 : 0);
	if (!strcmp(method, "listen"))
		return json_pack("{ss}", "path", "/nowhere");
	if (!strcmp(method, "connect") && fake("unconnected")) {
		*ret_error = error_of("connection", "connection refused");
		return NULL;
	}
	if (!strcmp(method, "track"))
		return json_pack("{sb ss}", "on", !fake("untracked"), "why", "no tracefs");
	if (!strcmp(method, "dirty"))
		return json_pack("{sI sb si}", "bytes",
				 (json_int_t)(fake("dirties") && dirty_asked++ < 3 ? 65536 : 0),
				 "lost", fake("lost"), "events", 1);
	if (!strcmp(method, "settle") && fake("unsettled"))
		return json_pack("{sI s[i] si}", "verified_bytes", (json_int_t)BYTES, "mismatches",
				 65536, "mismatched_bytes", 65536);
	if (!strcmp(method, "settle"))
		return json_pack("{sI s[] si}", "verified_bytes", (json_int_t)BYTES, "mismatches",
				 "mismatched_bytes", 0);
	if (!strcmp(method, "sha256"))
		return json_pack("{ss}", "sha256",
				 fake("sha-differs") && role == 't' ? "22" : "11");
	(void)params;
	return json_object();
}

static void serve(const char *line, size_t len)
{
	static json_int_t hanging;
	char err[JSONLINE_ERRLEN];
	json_t *q = jsonline_parse(line, len, err), *error = NULL, *result = NULL;
	const char *method = json_string_value(json_object_get(q, "method"));
	const json_t *params = json_object_get(q, "params");
	json_int_t id = json_integer_value(json_object_get(q, "id"));
	const char *kind = json_string_value(json_object_get(params, "kind"));

	fprintf(asked, "%c %s%s%s\n", role, method, kind ? " " : "", kind ? kind : "");
	fflush(asked);
	if (!strcmp(method, "pass") && answer_pass(id, kind, &result)) {
		hanging = id;
		json_decref(q);
		return;
	}
	if (!strcmp(method, "stop") && hanging) {
		reply(json_pack("{sI so}", "id", hanging, "error", error_of("stopped", "stopped")));
		hanging = 0;
	}
	if (!result)
		result = answer(method, params, &error);
	reply(json_pack("{sI so}", "id", id, error ? "error" : "result", error ? error : result));
	json_decref(q);
}

static int play_end(char **argv)
{
	struct jsonline in;
	char buf[4096], *line;
	ssize_t n;

	role = argv[2][0];
	if (fake("silent-exit")) {
		fprintf(stderr, "no libraries here\n");
		return 9;
	}
	if (fake("banner"))
		puts("Welcome to this host!");
	fflush(stdout);
	asked = fopen(getenv("FAKE_LOG"), "ae");
	jsonline_init(&in, 65536);
	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0) {
		const char *p = buf;
		size_t len = (size_t)n, line_len;

		while (jsonline_take(&in, &p, &len, &line, &line_len) > 0)
			serve(line, line_len);
	}
	jsonline_fini(&in);
	fclose(asked);
	return 0;
}

/* --- The test --- */

struct world {
	char dir[64], log[96], once[96], run[96];
	struct conduct_options o;
	struct conduct_result r;
	char said[4096];
	int stop_at_progress; /* signal, 0: none */
	const char *ask;      /* of the socket when it waits */
};

static void ask_own_socket(struct world *w, const char *id)
{
	char line[128];
	int fd = jobs_connect(w->run, id);

	assert_true(fd >= 0);
	snprintf(line, sizeof(line), "{\"id\":1,\"method\":\"%s\"}\n", w->ask);
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	w->ask = NULL;
	/* Closed when the program ends: the answer may come late. */
}

static void on_progress(void *arg, const struct conduct_state *st)
{
	struct world *w = arg;

	if (w->stop_at_progress && st->covered > BYTES / 2) {
		kill(getpid(), w->stop_at_progress);
		w->stop_at_progress = 0;
	}
	if (w->ask && (st->phase == PHASE_WAIT || (st->phase == PHASE_PASS && !st->warm)))
		ask_own_socket(w, st->id);
}

static void on_say(void *arg, const char *sentence)
{
	struct world *w = arg;

	strncat(w->said, sentence, sizeof(w->said) - strlen(w->said) - 1);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->dir, "/tmp/l2-conductor-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	snprintf(w->log, sizeof(w->log), "%s/log", w->dir);
	snprintf(w->once, sizeof(w->once), "%s/once", w->dir);
	snprintf(w->run, sizeof(w->run), "%s/run", w->dir);
	setenv("FAKE_LOG", w->log, 1);
	setenv("FAKE_ONCE", w->once, 1);
	w->o = (struct conduct_options){
		.source = { .role = "source", .path = "/a" },
		.target = { .role = "target", .path = "/dev/vg/b", .partition = 2 },
		.connections = 4,
		.compress = "auto",
		.max_downtime_s = 10,
		.run_dir = w->run,
	};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	unlink(w->log);
	rmdir(w->once);
	rmdir(w->run);
	rmdir(w->dir);
	free(w);
	return 0;
}

static void run(struct world *w, const char *faults)
{
	struct conduct_ui ui = { w, on_progress, on_say };

	setenv("FAKE", faults, 1);
	conduct(&w->o, &ui, &w->r);
}

/* Whether this line is among the questions, and how often. */
static unsigned count_asked(const struct world *w, const char *line)
{
	_cleanup_fclose_ FILE *f = fopen(w->log, "re");
	char buf[128];
	unsigned n = 0;

	while (f && fgets(buf, sizeof(buf), f)) {
		buf[strcspn(buf, "\n")] = '\0';
		n += !strcmp(buf, line);
	}
	return n;
}

static void plain_copy(void **state)
{
	struct world *w = *state;

	w->o.sha256 = true;
	w->o.rate = 1000;
	run(w, "");
	assert_string_equal(w->r.message, "");
	assert_int_equal(w->r.outcome, CONDUCTED);
	assert_int_equal(w->r.bytes, BYTES);
	assert_int_equal(w->r.verified, BYTES);
	assert_string_equal(w->r.sha256, "11");
	assert_int_equal(count_asked(w, "s pass full"), 1);
	assert_int_equal(count_asked(w, "t begin full"), 1);
	assert_int_equal(count_asked(w, "s rate"), 1);
	assert_int_equal(count_asked(w, "s seed"), 1);
	assert_int_equal(count_asked(w, "t complete"), 1);
}

static void refused_is_not_resumable(void **state)
{
	struct world *w = *state;

	run(w, "refuse");
	assert_int_equal(w->r.outcome, CONDUCT_FAILED);
	assert_false(w->r.resumable);
	assert_string_equal(w->r.message, "the target: it is mounted on /mnt");
}

static void resumes(void **state)
{
	struct world *w = *state;

	run(w, "resumed");
	assert_non_null(strstr(w->said, "50 %"));
	assert_int_equal(count_asked(w, "s pass full"), 1);
	run(w, "resumed doubt");
	assert_int_equal(count_asked(w, "s pass delta"), 1);
	run(w, "second");
	assert_int_equal(count_asked(w, "s pass delta"), 2);
}

static void stopped_by_signal(void **state)
{
	struct world *w = *state;

	w->stop_at_progress = SIGTERM;
	run(w, "hang-in-pass");
	assert_int_equal(w->r.outcome, CONDUCT_STOPPED);
	assert_true(w->r.resumable);
	assert_int_equal((int)(w->r.done * 100 + 0.5), 63);
	assert_int_equal(count_asked(w, "s stop"), 1);
	assert_int_equal(count_asked(w, "t stop"), 1);
	assert_int_equal(count_asked(w, "t complete"), 0);
}

static void stopped_by_socket(void **state)
{
	struct world *w = *state;

	w->ask = "stop";
	run(w, "hang-in-pass");
	assert_int_equal(w->r.outcome, CONDUCT_STOPPED);
	assert_true(w->r.resumable);
}

static void end_dies(void **state)
{
	struct world *w = *state;

	run(w, "die-in-pass");
	assert_int_equal(w->r.outcome, CONDUCT_FAILED);
	assert_true(w->r.resumable);
	assert_non_null(strstr(w->r.message, "the source was ended by signal 9"));
}

static void tries_again(void **state)
{
	struct world *w = *state;

	w->o.retries = 3;
	run(w, "die-once");
	assert_int_equal(w->r.outcome, CONDUCTED);
	assert_non_null(strstr(w->said, "trying again"));
	assert_int_equal(count_asked(w, "t open"), 2);
}

static void does_not_start(void **state)
{
	struct world *w = *state;

	run(w, "silent-exit");
	assert_int_equal(w->r.outcome, CONDUCT_UNREACHABLE);
	assert_non_null(strstr(w->r.message, "no libraries here"));
	assert_false(w->r.resumable);
}

static void other_version(void **state)
{
	struct world *w = *state;

	run(w, "old");
	assert_int_equal(w->r.outcome, CONDUCT_FAILED);
	assert_non_null(strstr(w->r.message, "another version"));
}

static void login_banner(void **state)
{
	struct world *w = *state;

	run(w, "banner");
	assert_int_not_equal(w->r.outcome, CONDUCTED);
	assert_non_null(strstr(w->r.message, "Welcome"));
}

static void bad_disk(void **state)
{
	struct world *w = *state;

	run(w, "unsettled");
	assert_int_equal(w->r.outcome, CONDUCT_FAILED);
	assert_non_null(strstr(w->r.message, "does not keep what is written"));
	assert_int_equal(count_asked(w, "t complete"), 0);
}

static void other_digest(void **state)
{
	struct world *w = *state;

	w->o.sha256 = true;
	run(w, "sha-differs");
	assert_int_equal(w->r.outcome, CONDUCT_FAILED);
	assert_int_equal(count_asked(w, "t complete"), 0);
}

static void warm(void **state)
{
	struct world *w = *state;

	w->o.kind = CONDUCT_WARM;
	w->ask = "finish";
	run(w, "dirties");
	assert_string_equal(w->r.message, "");
	assert_int_equal(w->r.outcome, CONDUCTED);
	assert_true(w->r.downtime_s >= 0);
	assert_non_null(strstr(w->said, "disk finish b-p2"));
	assert_non_null(strstr(w->said, "The last pass read 1 chunks"));
	assert_int_equal(count_asked(w, "s pass full"), 1);
	assert_true(count_asked(w, "s pass dirty") >= 1);
	assert_int_equal(count_asked(w, "s pass delta"), 0);
}

static void warm_untracked(void **state)
{
	struct world *w = *state;

	w->o.kind = CONDUCT_WARM;
	w->ask = "finish";
	run(w, "untracked");
	assert_int_equal(w->r.outcome, CONDUCTED);
	assert_non_null(strstr(w->said, "no tracefs"));
	assert_true(count_asked(w, "s pass delta") >= 1);
	assert_int_equal(count_asked(w, "s pass dirty"), 0);
}

static void warm_lost(void **state)
{
	struct world *w = *state;

	w->o.kind = CONDUCT_WARM;
	w->ask = "finish";
	run(w, "lost");
	assert_int_equal(w->r.outcome, CONDUCTED);
	assert_non_null(strstr(w->said, "were lost"));
	assert_true(count_asked(w, "s pass delta") >= 1);
}

static void finish_is_for_warm(void **state)
{
	struct world *w = *state;

	w->ask = "finish";
	run(w, "");
	assert_int_equal(w->r.outcome, CONDUCTED);
	assert_true(w->r.downtime_s < 0);
}

static void verify(void **state)
{
	struct world *w = *state;

	w->o.kind = CONDUCT_VERIFY;
	run(w, "");
	assert_int_equal(w->r.outcome, CONDUCTED);
	run(w, "differs");
	assert_int_equal(w->r.outcome, CONDUCT_DIFFERS);
	assert_int_equal(w->r.mismatched_bytes, 1234);
	assert_int_equal(w->r.n_places, 2);
	assert_int_equal(w->r.places[1], 196608);
	assert_int_equal(count_asked(w, "t complete"), 0);
	assert_int_equal(count_asked(w, "t settle"), 0);
}

/* --- Command lines --- */

static void argv_here(void **state)
{
	struct end_spec s = { .role = "target", .path = "-x y", .partition = 3, .overwrite = true };
	const char *words[END_WORDS_MAX];
	char number[32];
	char **argv;

	(void)state;
	end_words(&s, number, words);
	argv = end_argv(&s, words);
	assert_string_equal(argv[0], "bridgectl");
	assert_string_equal(argv[1], "agent");
	assert_string_equal(argv[2], "target");
	assert_string_equal(argv[3], "--partition");
	assert_string_equal(argv[4], "3");
	assert_string_equal(argv[5], "--overwrite");
	assert_string_equal(argv[6], "--");
	assert_string_equal(argv[7], "-x y");
	assert_null(argv[8]);
	free(argv);
}

/* What a shell makes of the line is what we meant, whatever the path. */
static void argv_there(void **state)
{
	static const char *const paths[] = { "/a b",	 "/it's", "/$(reboot);`x`", "/new\nline",
					     "/\"x\"\\", "~root", "/ümlaut*?[a]",   "-rf" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		struct end_spec s = { .role = "source", .path = paths[i], .host = "kvm1" };
		const char *words[END_WORDS_MAX];
		char number[32], *cmd, got[256] = "";
		char **argv, **all;
		FILE *f;

		s.program = "printf '%s|' ";
		s.ssh = "/usr/bin/ssh -p 22  -i key";
		end_words(&s, number, words);
		argv = all = end_argv(&s, words);
		assert_string_equal(argv[0], "/usr/bin/ssh");
		assert_string_equal(argv[4], "key");
		for (cmd = argv[0]; *argv; argv++)
			cmd = *argv;
		assert_string_equal(argv[-2], "kvm1");
		assert_string_equal(argv[-3], "--");
		/* The program's name is quoted as well: cut it off. */
		cmd = strstr(cmd, " agent ");
		assert_true(asprintf(&cmd, "printf '%%s|' %s", cmd) > 0);
		f = popen(cmd, "r");
		assert_true(fread(got, 1, sizeof(got) - 1, f) > 0);
		pclose(f);
		free(cmd);
		assert_true(asprintf(&cmd, "agent|source|--|%s|", paths[i]) > 0);
		assert_string_equal(got, cmd);
		free(cmd);
		free(all);
	}
}

static void hosts(void **state)
{
	(void)state;
	assert_true(end_host_valid("root@xen1"));
	assert_true(end_host_valid("2001:db8::1"));
	assert_false(end_host_valid(""));
	assert_false(end_host_valid("-oProxyCommand=x"));
	assert_false(end_host_valid("a b"));
	assert_false(end_host_valid("a\nb"));
}

/* --- Sockets --- */

static json_t *no_answer(void *arg, const char *method, const json_t *params, const char **ret_code,
			 char *err)
{
	(void)arg;
	(void)method;
	(void)params;
	*ret_code = "x";
	strcpy(err, "y");
	return NULL;
}

static void job_ids(void **state)
{
	char id[JOBS_ID_LEN];

	(void)state;
	jobs_id("/dev/vg0/web1-disk", 0, id);
	assert_string_equal(id, "web1-disk");
	jobs_id("/dev/vg0/web1-disk", 2, id);
	assert_string_equal(id, "web1-disk-p2");
	jobs_id("/x/..", 0, id);
	assert_string_equal(id, "disk");
	jobs_id("/x/-a b;c", 0, id);
	assert_string_equal(id, "abc");
}

static void job_sockets(void **state)
{
	struct world *w = *state;
	char err[JOBS_ERRLEN], stale[128];
	struct jobs *a, *b;
	json_t *list;
	int fd;

	a = jobs_listen(w->run, "disk", no_answer, NULL, err);
	b = jobs_listen(w->run, "disk", no_answer, NULL, err);
	assert_non_null(a);
	assert_non_null(b);
	assert_string_equal(jobs_own_id(a), "disk");
	assert_string_equal(jobs_own_id(b), "disk-2");
	list = jobs_list(w->run);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	fd = jobs_connect(w->run, "disk-2");
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(jobs_connect(w->run, "../x"), -ENOENT);
	/* What a killed process leaves: a socket that nobody listens on. */
	snprintf(stale, sizeof(stale), "%s/old.sock", w->run);
	{
		char path[128];

		snprintf(path, sizeof(path), "%s/disk-2.sock", w->run);
		assert_int_equal(rename(path, stale), 0);
	}
	jobs_free(b);
	assert_int_equal(jobs_connect(w->run, "old"), -ENOENT);
	assert_int_equal(access(stale, F_OK), -1);
	jobs_free(a);
}

static void job_directory(void **state)
{
	struct world *w = *state;
	char err[JOBS_ERRLEN];

	assert_int_equal(mkdir(w->run, 0755), 0);
	assert_null(jobs_listen(w->run, "disk", no_answer, NULL, err));
	assert_non_null(strstr(err, "0700"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(plain_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_is_not_resumable, setup, teardown),
		cmocka_unit_test_setup_teardown(resumes, setup, teardown),
		cmocka_unit_test_setup_teardown(stopped_by_signal, setup, teardown),
		cmocka_unit_test_setup_teardown(stopped_by_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(end_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(tries_again, setup, teardown),
		cmocka_unit_test_setup_teardown(does_not_start, setup, teardown),
		cmocka_unit_test_setup_teardown(other_version, setup, teardown),
		cmocka_unit_test_setup_teardown(login_banner, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(other_digest, setup, teardown),
		cmocka_unit_test_setup_teardown(warm, setup, teardown),
		cmocka_unit_test_setup_teardown(warm_untracked, setup, teardown),
		cmocka_unit_test_setup_teardown(warm_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(finish_is_for_warm, setup, teardown),
		cmocka_unit_test_setup_teardown(verify, setup, teardown),
		cmocka_unit_test(argv_here),
		cmocka_unit_test(argv_there),
		cmocka_unit_test(hosts),
		cmocka_unit_test(job_ids),
		cmocka_unit_test_setup_teardown(job_sockets, setup, teardown),
		cmocka_unit_test_setup_teardown(job_directory, setup, teardown),
	};

	if (argc > 2 && !strcmp(argv[1], "agent"))
		return play_end(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
