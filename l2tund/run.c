/*
 * The life of the process. What can fail at start fails before the loop runs and
 * with a sentence on standard error (and in the log), so that init scripts and systemd see it.
 *
 * Order matters: lock, state and sockets are had while we may still do everything; then
 * privileges go, and only then is the first byte read that a stranger has sent.
 */
#include "l2tund/run.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "build-config.h"
#include "common/log.h"
#include "l2tund/daemon.h"
#include "l2tund/kernel/background.h"
#include "l2tund/kernel/lookout.h"
#include "l2tund/kernel/loop.h"
#include "l2tund/kernel/notify.h"
#include "l2tund/kernel/os_linux.h"
#include "l2tund/kernel/priority.h"
#include "l2tund/kernel/privileges.h"
#include "l2tund/kernel/statefile.h"
#include "l2tund/options.h"
#include "l2tund/reload.h"
#include "l2tund/session/cipher.h"

/* What the signal handlers reach. */
struct run {
	struct loop *loop;
	struct os *os;
	struct daemon *daemon;
	struct loop_signal *signals[4];
	struct background background;
	struct lookout lookout;
	int lock;	      /* -1: not held */
	const char *pid_file; /* NULL: none written */
	uint64_t incarnation;
	char err[DAEMON_ERRLEN];
};

static void on_reload(void *arg, int signo)
{
	struct run *run = arg;
	struct config_report report = { 0 };
	json_t *changed, *restart;

	(void)signo;
	notify_reloading();
	if (reload_run(run->daemon, &report, &changed, &restart) == 0) {
		json_decref(changed);
		json_decref(restart);
	}
	config_report_fini(&report);
	notify_ready();
}

static void on_terminate(void *arg, int signo)
{
	struct run *run = arg;

	log_notice(LOG_CORE, "%s: closing all tunnels", signo == SIGTERM ? "SIGTERM" : "SIGINT");
	notify_stopping();
	daemon_stop(run->daemon);
	loop_stop(run->loop);
}

static void on_reexec(void *arg, int signo)
{
	(void)arg;
	(void)signo;
	log_warn(LOG_CORE, "SIGUSR2: re-exec in place is not supported yet; use a restart");
}

static int run_signals(struct run *run)
{
	static const struct {
		int signo;
		void (*fn)(void *arg, int signo);
	} rows[] = {
		{ SIGHUP, on_reload },
		{ SIGTERM, on_terminate },
		{ SIGINT, on_terminate },
		{ SIGUSR2, on_reexec },
	};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = loop_signal_new(run->loop, rows[i].signo, rows[i].fn, run,
					&run->signals[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* start */

static uint64_t run_clock(void *arg)
{
	(void)arg;
	return loop_now_us();
}

static int _printf_(3, 4) run_fail(struct run *run, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(run->err, sizeof(run->err), fmt, ap);
	va_end(ap);
	return r;
}

static int run_lock(struct run *run, const struct config_node *node)
{
	pid_t holder;
	int r = state_lock(node->state_dir, &run->lock, &holder);

	if (r == -EBUSY)
		return run_fail(
			run, r,
			"another l2tund runs with state-dir %s (pid %d); stop it first, or give "
			"this one a state-dir of its own",
			node->state_dir, (int)holder);
	if (r < 0)
		return run_fail(run, r, "state-dir %s: %s", node->state_dir, strerror(-r));
	r = state_incarnation(node->state_dir, (uint64_t)time(NULL), &run->incarnation);
	if (r == -EBADMSG)
		return run_fail(run, r,
				"%s/incarnation is damaged; remove it when the clock is right",
				node->state_dir);
	return r < 0 ? run_fail(run, r, "%s/incarnation: %s", node->state_dir, strerror(-r)) : 0;
}

/* /run is empty after a boot; who packages us may have made the folder already. */
static void make_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir =
		slash && slash != path ? strndup(path, (size_t)(slash - path)) : NULL;

	if (dir && mkdir(dir, 0755) < 0 && errno != EEXIST)
		log_warn(LOG_CORE, "cannot make %s: %s", dir, strerror(errno));
}

static int run_open(struct run *run, const struct config_node *node)
{
	int r = run_lock(run, node);

	if (r < 0)
		return r;
	make_folder_of(node->control);
	r = lookout_start(&run->lookout);
	if (r < 0)
		return run_fail(run, r, "cannot fork: %s", strerror(-r));
	priority_raise(); /* not of the process that looks out for owners */
	r = loop_new(NULL, &run->loop);
	if (r < 0)
		return run_fail(run, r, "event loop: %s", strerror(-r));
	r = os_linux_new(run->loop, &run->os);
	if (r < 0)
		return run_fail(run, r, "rtnetlink: %s", strerror(-r));
	os_linux(run->os)->lookout = &run->lookout;
	/* One worker is the main thread itself. */
	r = node->workers > 1 ? os_linux_lanes(run->os, node->workers) : 0;
	if (r < 0)
		return run_fail(run, r, "workers: %s", strerror(-r));
	r = run_signals(run);
	return r < 0 ? run_fail(run, r, "signals: %s", strerror(-r)) : 0;
}

/* Takes `config` over, also on failure. */
static int run_daemon(struct run *run, struct config *config)
{
	struct daemon_params p = {
		.incarnation = run->incarnation,
		.uid = privileges_uid(config->node.user),
	};
	int r = cipher_measure(run_clock, NULL, &p.aes_mbps, &p.chacha_mbps);

	if (r < 0) {
		config_free(config);
		return run_fail(run, r, "libcrypto has neither AES-256-GCM nor ChaCha20-Poly1305");
	}
	log_info(LOG_SESSION, "AES-256-GCM %u MB/s, ChaCha20-Poly1305 %u MB/s", p.aes_mbps,
		 p.chacha_mbps);
	return daemon_new(config, run->os, &p, &run->daemon, run->err);
}

/* TAPs are made again later, when a bridge or a port was lost: the user must be able to. */
static int run_drop(struct run *run)
{
	const char *user = run->daemon->config->node.user;
	int r = privileges_drop(user, run->err, sizeof(run->err));

	if (r == 0 && user && access("/dev/net/tun", R_OK | W_OK) < 0 && errno == EACCES)
		return run_fail(
			run, -EACCES,
			"user %s cannot open /dev/net/tun; chmod 0666 it (as udev does; the kernel "
			"asks for CAP_NET_ADMIN anyway), or leave `user` out",
			user);
	return r;
}

static int run_start(struct run *run, const struct options *o, struct config *config)
{
	int r = run_open(run, &config->node);

	if (r < 0) {
		config_free(config);
		return r;
	}
	r = run_daemon(run, config);
	if (r < 0)
		return r;
	if (o->pid_file && (r = background_pidfile(o->pid_file)) < 0)
		return run_fail(run, r, "pid file %s: %s", o->pid_file, strerror(-r));
	run->pid_file = o->pid_file;
	r = run_drop(run);
	if (r < 0)
		return r;
	/* Not before: rights are those of a thread, and of those that it begins. */
	r = os_linux_start(run->os);
	return r < 0 ? run_fail(run, r, "workers: cannot start threads: %s", strerror(-r)) : 0;
}

static void run_close(struct run *run)
{
	daemon_free(run->daemon);
	for (size_t i = 0; i < ARRAY_SIZE(run->signals); i++) {
		if (run->signals[i])
			loop_signal_free(run->signals[i]);
	}
	if (run->os)
		os_linux_free(run->os);
	if (run->loop)
		loop_free(run->loop);
	lookout_stop(&run->lookout);
	/* That of another daemon, which we may have been refused for, is not ours to remove. */
	if (run->pid_file)
		unlink(run->pid_file);
	if (run->lock >= 0)
		close(run->lock);
}

/* In the process that serves: until a signal ends it. */
static int run_serve(struct run *run, const struct options *o, struct config *config)
{
	int r = run_start(run, o, config);

	if (r < 0) {
		log_err(LOG_CORE, "%s", run->err);
		if (!o->foreground)
			fprintf(stderr, "l2tund: %s\n", run->err);
	} else {
		log_notice(LOG_CORE, "l2tund %s is ready", PACKAGE_VERSION);
		notify_ready();
		background_report(&run->background, 0);
		r = loop_run(run->loop);
	}
	run_close(run);
	return r == 0 ? 0 : 1;
}

static int run(const struct options *o, struct config *config)
{
	struct run run = { .lock = -1, .background = { .fd = -1 }, .lookout = { .fd = -1 } };
	int status = 1;
	int r = o->foreground ? 0 : background_start(&run.background, &status);

	if (r != 0) {
		config_free(config);
		if (r < 0)
			fprintf(stderr, "l2tund: cannot go to the background: %s\n", strerror(-r));
		return status;
	}
	status = run_serve(&run, o, config);
	background_report(&run.background, status);
	return status;
}

/* command line */

static void report_print(const struct config_report *report)
{
	for (unsigned i = 0; i < report->n; i++)
		fprintf(stderr, "%s\n", report->lines[i]);
}

static int run_config(const struct options *o, struct config **ret)
{
	struct config_report report = { 0 };
	/* The daemon's folder is / later, and a reload has to find the file again. */
	_cleanup_free_ char *path = realpath(o->config, NULL);
	int r = config_load(path ? path : o->config, ret, &report);

	report_print(&report);
	if (r < 0 && o->action == OPTIONS_RUN)
		fprintf(stderr, "l2tund: not started: %s: errors found: %u\n", o->config,
			report.n_errors);
	config_report_fini(&report);
	return r;
}

static int run_action(const struct options *o, struct config *config)
{
	switch (o->action) {
	case OPTIONS_PRINT:
		config_print(config, stdout);
		break;
	case OPTIONS_CHECK:
		printf("%s: good: %u bridges, %u peers, %u tunnels\n", o->config, config->n_bridges,
		       config->n_peers, config->n_tunnels);
		break;
	default:
		return run(o, config);
	}
	config_free(config);
	return 0;
}

int run_main(int argc, char **argv)
{
	struct options o;
	struct config *config;

	if (options_parse(argc, argv, &o) < 0)
		return 2;
	if (o.action == OPTIONS_HELP) {
		options_help();
		return 0;
	}
	if (o.action == OPTIONS_VERSION) {
		printf("l2tund %s\n", PACKAGE_VERSION);
		return 0;
	}
	log_init(o.foreground ? LOG_TO_STDERR : LOG_TO_SYSLOG, "l2tund");
	log_set_level(o.level);
	if (run_config(&o, &config) < 0)
		return 1;
	return run_action(&o, config);
}
