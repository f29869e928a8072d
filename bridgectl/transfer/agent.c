/*
 * The process: a thread that reads requests and answers the quick ones, at most one more for the
 * others. Answers and events are whole lines, written under a lock.
 *
 * It ends when its standard input ends, so with the ssh session; then, as on SIGTERM and SIGHUP,
 * what is written is flushed and committed first. Ctrl-C is for the conductor to decide about.
 * A key that came in a line is wiped from the buffers that it went through.
 */
#include "bridgectl/transfer/agent.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#include "bridgectl/transfer/agent_private.h"
#include "bridgectl/transfer/identity.h"
#include "common/clock.h"
#include "common/jsonline.h"
#include "common/signals.h"

#define PROGRESS_MS 500
#define READ_BYTES 4096

/* --- Lines out --- */

static void write_line(struct agent *a, const char *line, size_t len)
{
	while (len && !atomic_load(&a->gone)) {
		ssize_t n = write(a->out, line, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			atomic_store(&a->gone, true);
			return;
		}
		line += n;
		len -= (size_t)n;
	}
}

void agent_send(struct agent *a, json_t *line)
{
	size_t len;
	char *text = line ? jsonline_dump(line, &len) : NULL;

	pthread_mutex_lock(&a->out_lock);
	if (text)
		write_line(a, text, len);
	pthread_mutex_unlock(&a->out_lock);
	free(text);
	json_decref(line);
}

/* What broke the connections may have cut off whoever gives us work as well. */
static void note_cut(struct agent *a, const struct fail *f)
{
	uint64_t none = 0;

	if (f->code == FAIL_CONNECTION)
		atomic_compare_exchange_strong(&a->cut_ms, &none, clock_ms());
}

/*
 * Cut off for as long as silence counts as a cut: nobody comes back, since new connections need new
 * agents, and the next one waits for our lock. ssh alone may take hours to notice.
 */
static bool is_forsaken(const struct agent *a)
{
	uint64_t since_ms = atomic_load(&a->cut_ms);
	unsigned timeout_ms = a->wire.timeout_ms ? a->wire.timeout_ms : CONN_TIMEOUT_MS;

	return since_ms && clock_ms() - since_ms >= timeout_ms;
}

static json_t *error_object(const struct fail *f)
{
	return json_pack("{s:s, s:o}", "code", fail_code_name(f->code), "message",
			 jsonline_text(f->text));
}

static void answer(struct agent *a, json_t *id, json_t *result, const struct fail *f)
{
	json_t *line = json_object();

	json_object_set(line, "id", id ? id : json_null());
	if (result)
		json_object_set_new(line, "result", result);
	else
		json_object_set_new(line, "error", error_object(f));
	if (!result)
		note_cut(a, f);
	agent_send(a, line);
}

void agent_failed(void *agent, const struct fail *f)
{
	json_t *line = error_object(f);

	note_cut(agent, f);
	json_object_set_new(line, "event", json_string("failed"));
	agent_send(agent, line);
}

/* --- Quick methods --- */

static json_t *hello(struct agent *a, const struct agent_params *p, struct fail *f)
{
	char host[IDENTITY_HOST_LEN];

	(void)p;
	(void)f;
	identity_host(host);
	return json_pack("{s:i, s:s, s:o, s:s}", "version", AGENT_VERSION, "role",
			 a->o->role == AGENT_SOURCE ? "source" : "target", "host",
			 jsonline_text(host), "program", a->o->program);
}

static void stop_all(struct agent *a)
{
	atomic_store(&a->stop, true);
	pthread_mutex_lock(&a->lock);
	if (a->gather)
		gather_stop(a->gather);
	if (a->sender)
		sender_stop(a->sender);
	if (a->receiver)
		receiver_stop(a->receiver);
	pthread_mutex_unlock(&a->lock);
}

static json_t *stop(struct agent *a, const struct agent_params *p, struct fail *f)
{
	(void)p;
	(void)f;
	stop_all(a);
	return json_object();
}

static const agent_method_fn methods[METHODS] = {
	[METHOD_HELLO] = hello,
	[METHOD_OPEN_SOURCE] = agent_open_source,
	[METHOD_OPEN_TARGET] = agent_open_target,
	[METHOD_SEED] = agent_seed,
	[METHOD_LISTEN] = agent_listen,
	[METHOD_CONNECT] = agent_connect,
	[METHOD_TRACK] = agent_track,
	[METHOD_BEGIN] = agent_begin,
	[METHOD_PASS] = agent_pass,
	[METHOD_SETTLE] = agent_settle,
	[METHOD_RATE] = agent_rate,
	[METHOD_DIRTY] = agent_dirty,
	[METHOD_SHA256] = agent_sha256,
	[METHOD_COMPLETE] = agent_complete,
	[METHOD_STOP] = stop,
};

/* --- Requests --- */

static json_t *run_method(struct agent *a, const struct agent_request *q, struct fail *f)
{
	json_t *result;

	f->code = FAIL_NONE;
	if (atomic_load(&a->stop) && !agent_method_quick(q->method)) {
		fail_set(f, FAIL_STOPPED, "stopped");
		return NULL;
	}
	result = methods[q->method](a, &q->params, f);
	if (!result && !f->code)
		fail_set(f, FAIL_INTERNAL, "no memory");
	return result;
}

static void *job_main(void *arg)
{
	struct agent *a = arg;
	struct fail f;
	json_t *result = run_method(a, &a->request, &f), *id = json_incref(a->request.id);

	agent_request_fini(&a->request);
	/* Before the answer: the next request may follow it at once. */
	atomic_store(&a->busy, false);
	answer(a, id, result, &f);
	json_decref(id);
	return NULL;
}

static void join_job(struct agent *a)
{
	if (a->has_job)
		pthread_join(a->job, NULL);
	a->has_job = false;
}

/* Takes the request over when it returns 0. */
static int start_job(struct agent *a, struct agent_request *q, struct fail *f)
{
	if (atomic_load(&a->busy))
		return fail_set(f, FAIL_BUSY, "\"%s\" has to wait: another request is at work",
				agent_method_name(q->method));
	join_job(a);
	a->request = *q;
	a->job_method = q->method;
	atomic_store(&a->busy, true);
	if (pthread_create(&a->job, NULL, job_main, a) != 0) {
		atomic_store(&a->busy, false);
		return fail_set(f, FAIL_INTERNAL, "no more threads can be started");
	}
	a->has_job = true;
	explicit_bzero(q, sizeof(*q));
	return 0;
}

static void take_line(struct agent *a, char *line, size_t len)
{
	struct agent_request q;
	struct fail f;
	json_t *result = NULL;
	int r = agent_request_parse(line, len, a->o->role, &q, &f);

	explicit_bzero(line, len);
	if (r == 0 && !agent_method_quick(q.method)) {
		r = start_job(a, &q, &f);
		if (r == 0)
			return;
	} else if (r == 0) {
		result = run_method(a, &q, &f);
	}
	answer(a, q.id, result, &f);
	agent_request_fini(&q);
}

/* --- The loop --- */

/* False: the end. */
static bool take_input(struct agent *a, struct jsonline *lines, int in)
{
	char buf[READ_BYTES], *line;
	const char *p = buf;
	ssize_t n = read(in, buf, sizeof(buf));
	size_t left, len;
	struct fail f;
	int r;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	left = (size_t)n;
	while ((r = jsonline_take(lines, &p, &left, &line, &len)) > 0)
		take_line(a, line, len);
	explicit_bzero(buf, (size_t)n);
	if (r < 0) {
		fail_set(&f, FAIL_PROTOCOL, "a line is too long");
		answer(a, NULL, NULL, &f);
	}
	return r == 0;
}

static void tell_progress(struct agent *a)
{
	json_t *line;

	if (!a->has_job || !atomic_load(&a->busy))
		return;
	line = agent_progress(a, a->job_method);
	if (!line)
		return;
	json_object_set_new(line, "event", json_string("progress"));
	agent_send(a, line);
}

static void serve(struct agent *a, int in, int signals)
{
	struct pollfd fds[2] = { { .fd = in, .events = POLLIN },
				 { .fd = signals, .events = POLLIN } };
	struct jsonline lines;
	uint64_t told = clock_ms();
	bool more = true;

	jsonline_init(&lines, AGENT_LINE_MAX);
	while (more && !atomic_load(&a->gone) && !is_forsaken(a)) {
		int n = poll(fds, 2, PROGRESS_MS);

		if (clock_ms() - told >= PROGRESS_MS) {
			tell_progress(a);
			told = clock_ms();
		}
		if (n > 0 && fds[1].revents)
			more = false;
		else if (n > 0)
			more = take_input(a, &lines, in);
	}
	jsonline_fini(&lines);
}

/* jansson keeps nothing secret by itself. */
static void wiping_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

/* In this order: signals are blocked before any thread is made. */
static int take_signals(void)
{
	static const int stop[] = { SIGTERM, SIGHUP };
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signals_heeded(stop, ARRAY_SIZE(stop), &set);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int agent_run(const struct agent_options *o, int in, int out)
{
	struct agent a = { .o = o, .out = out, .target.fd = -1, .window.direct_fd = -1 };
	_cleanup_close_ int signals = take_signals();

	if (signals < 0)
		return -errno;
	json_set_alloc_funcs(malloc, wiping_free);
	pthread_mutex_init(&a.out_lock, NULL);
	pthread_mutex_init(&a.lock, NULL);
	serve(&a, in, signals);
	stop_all(&a);
	/* Who calls may wait long for an answer, and nothing is written yet. */
	if (a.has_job && atomic_load(&a.busy) && a.job_method == METHOD_CONNECT)
		_exit(EXIT_SUCCESS);
	join_job(&a);
	agent_disconnect(&a);
	agent_close(&a);
	explicit_bzero(a.wire.key, sizeof(a.wire.key));
	pthread_mutex_destroy(&a.out_lock);
	pthread_mutex_destroy(&a.lock);
	return 0;
}
