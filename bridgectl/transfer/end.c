/*
 * Starts ends, asks them, tells why they ended.
 *
 * One socket pair is the standard input and output of the process, one pipe its standard error, of
 * which the last bytes are kept for the sentence. A local end is never told by a signal: it ends
 * when its standard input does, so it also ends when we are killed. Ctrl-C goes to all processes
 * of the terminal; ends ignore it, because the conductor tells them to stop in order.
 */
#include "bridgectl/transfer/end.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "common/jsonline.h"
#include "common/util.h"

#define STDERR_KEPT 700
#define READ_BYTES 16384
#define PIPES_MAX 64
#define EXIT_NOT_FOUND 127 /* of shells and of our own child */
#define EXIT_SSH 255
#define ENDING_MS 2000 /* from the end of its output to its own */
#define SILENT_MS 300
#define KILLED_MS 5000 /* a process that waits for a disk takes its time */

struct end {
	const struct end_spec *spec;
	end_event_fn event;
	void *arg;
	pid_t pid;
	int fd, err_fd;
	int err_writer; /* for the standard errors of end_pipe() */
	pid_t pipes[PIPES_MAX];
	unsigned n_pipes;
	bool ended, answered;
	struct jsonline in;
	struct end_call *calls;
	json_int_t last_id;
	char name[128];
	char why[END_ERRLEN];
	char said[STDERR_KEPT + 1]; /* the end of its standard error */
};

int end_fd(const struct end *e)
{
	return e->fd;
}

int end_stderr_fd(const struct end *e)
{
	return e->err_fd;
}

bool end_ended(const struct end *e)
{
	return e->ended;
}

bool end_answered(const struct end *e)
{
	return e->answered;
}

const char *end_why(const struct end *e)
{
	return e->why;
}

const char *end_name(const struct end *e)
{
	return e->name;
}

const struct end_spec *end_spec(const struct end *e)
{
	return e->spec;
}

/* --- The process --- */

/* By its own name where that leads to it still, so that ps(1) shows it. */
static const char *own_program(char path[PATH_MAX])
{
	static const char self[] = "/proc/self/exe";
	struct stat own, named;
	ssize_t n = readlink(self, path, PATH_MAX - 1);

	path[MAX(n, 0)] = '\0';
	if (n <= 0 || stat(self, &own) < 0 || stat(path, &named) < 0)
		return self;
	return own.st_dev == named.st_dev && own.st_ino == named.st_ino ? path : self;
}

static _Noreturn void run_child(const struct end_spec *s, char **argv, int io, int err)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, normal = { .sa_handler = SIG_DFL };
	char path[PATH_MAX];
	sigset_t none;

	sigemptyset(&none);
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigaction(SIGPIPE, &normal, NULL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Started with closed standard files, these may be such themselves. */
	io = fcntl(io, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	err = fcntl(err, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (dup2(io, STDIN_FILENO) >= 0 && dup2(io, STDOUT_FILENO) >= 0 &&
	    dup2(err, STDERR_FILENO) >= 0) {
		if (s->host || s->program)
			execvp(argv[0], argv);
		else
			execv(own_program(path), argv);
	}
	dprintf(err, "cannot start %s: %s\n", argv[0], strerror(errno));
	_exit(EXIT_NOT_FOUND);
}

static int start_process(const struct end_spec *s, const char *const words[], int io, int err,
			 pid_t *ret)
{
	_cleanup_free_ char **argv = end_argv(s, words);
	pid_t pid;

	if (!argv)
		return -ENOMEM;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		run_child(s, argv, io, err);
	*ret = pid;
	return 0;
}

static int start(struct end *e)
{
	const char *words[END_WORDS_MAX];
	int pair[2], err[2], r;
	char number[32];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	e->fd = pair[0];
	if (pipe2(err, O_CLOEXEC) < 0) {
		r = -errno;
		close(pair[1]);
		return r;
	}
	e->err_fd = err[0];
	e->err_writer = err[1];
	fcntl(e->err_fd, F_SETFL, O_NONBLOCK);
	end_words(e->spec, number, words);
	r = start_process(e->spec, words, pair[1], err[1], &e->pid);
	close(pair[1]);
	return r;
}

struct end *end_start(const struct end_spec *s, end_event_fn event, void *arg, char *err)
{
	struct end *e;
	int r = -ENOMEM;

	if (s->host && !end_host_valid(s->host)) {
		snprintf(err, END_ERRLEN, "\"%s\" is not the name of a host", s->host);
		return NULL;
	}
	e = calloc(1, sizeof(*e));
	if (e) {
		*e = (struct end){ .spec = s, .event = event, .arg = arg };
		e->fd = e->err_fd = e->err_writer = -1;
		jsonline_init(&e->in, END_LINE_MAX);
		snprintf(e->name, sizeof(e->name), "the %s%s%s", s->role, s->host ? " on " : "",
			 s->host ? s->host : "");
		r = start(e);
	}
	if (r < 0) {
		snprintf(err, END_ERRLEN, "cannot start the %s: %s", s->role, strerror(-r));
		end_free(e, 0);
		return NULL;
	}
	return e;
}

int end_pipe(struct end *e, const char *socket, int fd)
{
	const char *words[] = { "pipe", "--", socket, NULL };
	pid_t pid;
	int r = -E2BIG;

	if (e->n_pipes < PIPES_MAX)
		r = start_process(e->spec, words, fd, e->err_writer, &pid);
	close(fd);
	if (!r)
		e->pipes[e->n_pipes++] = pid;
	return r;
}

/* --- Its end --- */

/* What it wrote, on one line; what several say is said once. Lines of ssh end in "\r\n". */
static const char *last_words(struct end *e)
{
	char *to = e->said, *last = NULL;
	size_t n, last_n = 0;

	for (char *from = e->said; *from; from += n + strspn(from + n, "\r\n")) {
		n = strcspn(from, "\r\n");
		if (!n || (last && n == last_n && !memcmp(last, from, n)))
			continue;
		if (to != e->said)
			*to++ = ' ';
		last = memmove(to, from, n);
		last_n = n;
		to += n;
	}
	while (to > e->said && to[-1] == ' ')
		to--;
	*to = '\0';
	return e->said;
}

static void explain(struct end *e, int status)
{
	const char *said = last_words(e), *host = e->spec->host;
	const char *sep = *said ? ": " : "";

	if (WIFSIGNALED(status))
		snprintf(e->why, sizeof(e->why), "%s was ended by signal %d (%s)%s%s", e->name,
			 WTERMSIG(status), strsignal(WTERMSIG(status)), sep, said);
	else if (host && WEXITSTATUS(status) == EXIT_SSH)
		snprintf(e->why, sizeof(e->why), "%s %s%s%s",
			 e->answered ? "the ssh connection was lost to" : "ssh cannot reach", host,
			 sep, said);
	else if (host && WEXITSTATUS(status) == EXIT_NOT_FOUND)
		snprintf(e->why, sizeof(e->why),
			 "%s was not found on %s: install it there, or tell with "
			 "--remote-bridgectl where it is%s%s%s",
			 e->spec->program ? e->spec->program : "bridgectl", host, *said ? " (" : "",
			 said, *said ? ")" : "");
	else if (!e->answered)
		snprintf(e->why, sizeof(e->why), "%s did not start (exit code %d)%s%s", e->name,
			 WEXITSTATUS(status), sep, said);
	else
		snprintf(e->why, sizeof(e->why), "%s ended by itself (exit code %d)%s%s", e->name,
			 WEXITSTATUS(status), sep, said);
}

static bool reaped(pid_t pid, int wait_ms, int *ret_status)
{
	struct timespec step = { .tv_nsec = 5000000 };

	for (int left = wait_ms;; left -= 5) {
		pid_t r = waitpid(pid, ret_status, WNOHANG);

		if (r == pid || (r < 0 && errno == ECHILD))
			return true;
		if (left <= 0)
			return false;
		nanosleep(&step, NULL);
	}
}

/* False: it did not end by itself and was killed. */
static bool await_end(pid_t pid, int wait_ms, int *ret_status)
{
	if (pid <= 0 || reaped(pid, wait_ms, ret_status))
		return true;
	kill(pid, SIGKILL);
	reaped(pid, KILLED_MS, ret_status);
	return false;
}

static void answer(struct end *e, struct end_call *call)
{
	for (struct end_call **p = &e->calls; *p; p = &(*p)->next)
		if (*p == call) {
			*p = call->next;
			break;
		}
	call->done = true;
}

static void fail_all(struct end *e)
{
	while (e->calls) {
		struct end_call *call = e->calls;

		strcpy(call->code, "ended");
		snprintf(call->message, sizeof(call->message), "%s", e->why);
		answer(e, call);
	}
}

/* Its output ended, or it talks nonsense (`why` is set then). */
static void ended(struct end *e)
{
	int status = 0;
	bool orderly;

	if (e->ended)
		return;
	e->ended = true;
	close(e->fd);
	e->fd = -1;
	orderly = await_end(e->pid, ENDING_MS, &status);
	e->pid = 0;
	end_read_stderr(e);
	if (!orderly && !e->why[0])
		snprintf(e->why, sizeof(e->why), "%s closed its output and hung", e->name);
	if (!e->why[0])
		explain(e, status);
	fail_all(e);
}

bool end_close(struct end *e, int wait_ms)
{
	int status;

	if (e->fd >= 0)
		shutdown(e->fd, SHUT_WR);
	if (e->pid > 0 && reaped(e->pid, wait_ms, &status))
		e->pid = 0;
	return e->pid <= 0;
}

void end_free(struct end *e, int wait_ms)
{
	int status;

	if (!e)
		return;
	if (e->fd >= 0)
		shutdown(e->fd, SHUT_WR);
	/* It has done nothing yet: an ssh that hangs. */
	if (!e->answered)
		wait_ms = MIN(wait_ms, SILENT_MS);
	await_end(e->pid, wait_ms, &status);
	for (unsigned i = 0; i < e->n_pipes; i++) {
		kill(e->pipes[i], SIGTERM);
		await_end(e->pipes[i], wait_ms, &status);
	}
	cleanup_close(&e->fd);
	cleanup_close(&e->err_fd);
	cleanup_close(&e->err_writer);
	strcpy(e->why, "the transfer has ended");
	fail_all(e);
	jsonline_fini(&e->in);
	free(e);
}

/* --- Talking --- */

void end_call_fini(struct end_call *call)
{
	json_decref(call->result);
	call->result = NULL;
}

void end_forget(struct end *e, struct end_call *call)
{
	if (!call->done)
		answer(e, call);
}

static bool send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

void end_ask(struct end *e, const char *method, json_t *params, struct end_call *call)
{
	_cleanup_free_ char *line = NULL;
	size_t len;
	json_t *q;

	*call = (struct end_call){ .id = ++e->last_id, .next = e->calls };
	e->calls = call;
	q = json_pack("{sIsss:o}", "id", call->id, "method", method, "params",
		      params ? params : json_object());
	line = q ? jsonline_dump(q, &len) : NULL;
	json_decref(q);
	if (e->ended)
		fail_all(e);
	else if (!line || !send_all(e->fd, line, len))
		ended(e);
}

static void nonsense(struct end *e, const char *fmt, ...) _printf_(2, 3);

static void nonsense(struct end *e, const char *fmt, ...)
{
	int n = snprintf(e->why, sizeof(e->why), "%s does not talk as expected (", e->name);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->why + n, sizeof(e->why) - (size_t)n, fmt, ap);
	va_end(ap);
	n = (int)strlen(e->why);
	snprintf(e->why + n, sizeof(e->why) - (size_t)n,
		 "): is something else written by the login scripts there?");
	ended(e);
}

static void take_answer(struct end *e, const json_t *line)
{
	json_t *result = json_object_get(line, "result"), *error = json_object_get(line, "error");
	json_int_t id = json_integer_value(json_object_get(line, "id"));
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *message = json_string_value(json_object_get(error, "message"));
	struct end_call *call = e->calls;

	while (call && call->id != id)
		call = call->next;
	e->answered = true;
	if (!call)
		return; /* forgotten */
	if (result) {
		call->result = json_incref(result);
	} else {
		snprintf(call->code, sizeof(call->code), "%s", code && *code ? code : "protocol");
		snprintf(call->message, sizeof(call->message), "%s",
			 message ? message : "an error without words");
	}
	answer(e, call);
}

static void take_line(struct end *e, const char *line, size_t len)
{
	char err[JSONLINE_ERRLEN];
	json_t *j = jsonline_parse(line, len, err);
	const char *event = json_string_value(json_object_get(j, "event"));

	if (!j)
		nonsense(e, "\"%.60s\"", line);
	else if (event)
		e->event(e->arg, e, event, j);
	else
		take_answer(e, j);
	json_decref(j);
}

void end_read(struct end *e)
{
	char buf[READ_BYTES], *line;
	const char *p = buf;
	size_t len, line_len;
	ssize_t n;
	int r = 0;

	if (e->ended)
		return;
	n = recv(e->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		ended(e);
		return;
	}
	len = (size_t)n;
	while (!e->ended && (r = jsonline_take(&e->in, &p, &len, &line, &line_len)) > 0)
		take_line(e, line, line_len);
	if (r < 0 && !e->ended)
		nonsense(e, "a line of more than %d bytes", END_LINE_MAX);
}

void end_read_stderr(struct end *e)
{
	char buf[STDERR_KEPT];
	ssize_t n;

	while (e->err_fd >= 0 && (n = read(e->err_fd, buf, sizeof(buf))) > 0) {
		size_t have = strlen(e->said), drop = have + (size_t)n;

		/* Zero bytes would end the text. */
		for (ssize_t i = 0; i < n; i++)
			if (!buf[i])
				buf[i] = '?';
		drop = drop > STDERR_KEPT ? drop - STDERR_KEPT : 0;
		memmove(e->said, e->said + drop, have - drop + 1);
		strncat(e->said, buf, (size_t)n);
	}
}
