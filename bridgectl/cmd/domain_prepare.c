/*
 * `bridgectl domain prepare GUEST`: what a guest needs under KVM, put there while it runs on Xen.
 *
 * All that is done is in bridgectl/prepare/prepare.sh. Here it is sent to `sh -s` behind ssh, and
 * its results are shown as they come: lines of RESULT, STEP and TEXT, with tabs between. They are
 * the guest's word, so nothing but text is taken from them. Standard input of ssh is a file, not a
 * pipe that we would have to feed while we read.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/prepare_script.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/transfer/end_argv.h"

/* A step may install packages for minutes without a word: ssh asks whether the guest is there. */
#define SSH_DEFAULT "ssh -oBatchMode=yes -oServerAliveInterval=15"
#define SSH_WORDS 64
#define LINE_BYTES 8192
#define ANSWER_MAX ((size_t)16 << 20) /* bytes of all lines */
#define SSH_FAILED 255		      /* ssh(1), EXIT STATUS */

enum outcome { ALREADY, DONE, WOULD, NOTE, MISSING, FAILED, DIFF, END, OUTCOMES };

static const struct {
	const char *name;
	enum style style;
} outcomes[OUTCOMES] = {
	[ALREADY] = { "already", STYLE_DIM },  [DONE] = { "done", STYLE_GOOD },
	[WOULD] = { "would", STYLE_BOLD },     [NOTE] = { "note", STYLE_NONE },
	[MISSING] = { "missing", STYLE_WARN }, [FAILED] = { "failed", STYLE_BAD },
	[DIFF] = { "diff", STYLE_NONE },       [END] = { "end", STYLE_NONE },
};

struct preparation {
	struct cmd_call *call;
	const char *guest;
	char *ssh, *command;
	const char *argv[SSH_WORDS];
	bool dry, undo;
	unsigned count[OUTCOMES];
	json_t *steps; /* for --json */
	json_t *diff;  /* of the result to come */
};

extern char **environ;

/* --- What to run --- */

/* sudo for those who may not log in as root; the login shell may be any. */
static char *remote_command(const struct preparation *p)
{
	const struct cmd_call *call = p->call;
	char words[80], *command;

	snprintf(words, sizeof(words), "sh -s --%s%s%s%s", p->dry ? " --dry-run" : "",
		 p->dry && call->verbose ? " --diff" : "",
		 cmd_option(call, "--install") ? " --install" : "", p->undo ? " --undo" : "");
	if (asprintf(&command,
		     "sh -c 'exec 2>&1; if [ \"$(id -u)\" = 0 ]; then exec %s; else exec sudo -n "
		     "%s; fi'",
		     words, words) < 0)
		command = mem_must(NULL);
	return command;
}

/* "ssh -p 22" as words, then the guest and the command. False: told. */
static bool make_argv(struct preparation *p)
{
	char *save, *word = strtok_r(p->ssh, " ", &save);
	unsigned n = 0;

	for (; word && n < SSH_WORDS - 3; word = strtok_r(NULL, " ", &save))
		p->argv[n++] = word;
	if (word || !n) {
		cmd_error("--ssh: no command, or too long a one");
		return false;
	}
	p->argv[n++] = p->guest;
	p->argv[n++] = p->command;
	p->argv[n] = NULL;
	return true;
}

/* `--ssh GUEST` by itself names the guest, as people say it. False: told. */
static bool read_options(struct preparation *p)
{
	const char *ssh = cmd_option(p->call, "--ssh");

	p->guest = p->call->args[0];
	p->dry = cmd_option(p->call, "--dry-run");
	p->undo = cmd_option(p->call, "--undo");
	if (!p->guest && ssh && !strchr(ssh, ' ')) {
		p->guest = ssh;
		ssh = NULL;
	}
	if (!p->guest) {
		cmd_error("which guest? Give its name as ssh takes it, as root@web1");
		return false;
	}
	if (!end_host_valid(p->guest)) {
		cmd_error("\"%.60s\" is no host for ssh", p->guest);
		return false;
	}
	p->ssh = mem_strdup(ssh ? ssh : SSH_DEFAULT);
	p->command = remote_command(p);
	return make_argv(p);
}

/* --- What comes back --- */

static void show(struct preparation *p, enum outcome o, const char *step, const char *text)
{
	struct out *out = &p->call->out;

	if (p->call->json || out->quiet)
		return;
	if (o == DIFF) {
		out_line(out,
			 *text == '+' ? STYLE_GOOD :
			 *text == '-' ? STYLE_BAD :
					STYLE_NONE,
			 "  %s", text);
	} else {
		out_text(out, STYLE_NONE, "%-16s ", step);
		out_text(out, outcomes[o].style, "%-8s ", outcomes[o].name);
		out_line(out, STYLE_NONE, "%s", text);
	}
	fflush(out->f);
}

static json_t *text_json(const char *text)
{
	_cleanup_free_ char *clean = out_clean(text);

	return json_string(clean);
}

static void keep(struct preparation *p, enum outcome o, const char *step, const char *text)
{
	json_t *row;

	if (o == DIFF) {
		json_array_append_new(p->diff, text_json(text));
		return;
	}
	row = json_object();
	json_object_set_new(row, "step", text_json(step));
	json_object_set_new(row, "result", json_string(outcomes[o].name));
	json_object_set_new(row, "text", text_json(text));
	if (json_array_size(p->diff))
		json_object_set(row, "diff", p->diff);
	json_decref(p->diff);
	p->diff = json_array();
	json_array_append_new(p->steps, row);
}

/* Lines of another shape are what a shell or sudo had to say. */
static void take_line(struct preparation *p, char *line)
{
	char *step = strchr(line, '\t'), *text = step ? strchr(step + 1, '\t') : NULL;
	size_t end = strcspn(line, "\n");
	enum outcome o = 0;

	line[end] = '\0';
	while (end && line[end - 1] == '\r') /* ssh's own messages end so */
		line[--end] = '\0';
	if (text) {
		*step++ = '\0';
		*text++ = '\0';
	}
	while (text && o < OUTCOMES && strcmp(line, outcomes[o].name) != 0)
		o++;
	if (!text || o == OUTCOMES) {
		cmd_error("%s: %s", p->guest, line);
		return;
	}
	p->count[o]++;
	if (o == END)
		return;
	show(p, o, step, text);
	keep(p, o, step, text);
}

/* --- Running it --- */

/* A file with the script, read from its beginning; -1: errno. */
static int script_file(void)
{
	int fd = memfd_create("prepare.sh", MFD_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(dup(fd), "w");
	bool ok = f;

	for (unsigned i = 0; f && prepare_script[i]; i++)
		ok = fputs(prepare_script[i], f) >= 0 && ok;
	if (f)
		ok = fclose(f) == 0 && ok;
	if (ok && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/*
 * 0 and a stream of what it says, or an errno. That of its standard error is the guest's word, too:
 * a hostile sshd sends there what it likes, and ssh hands it to the terminal as it is.
 */
static int start(struct preparation *p, pid_t *ret_pid, FILE **ret_f)
{
	_cleanup_close_ int script = script_file();
	posix_spawn_file_actions_t actions;
	int fd[2], r;

	if (script < 0 || pipe2(fd, O_CLOEXEC) < 0)
		return errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, script, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, fd[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, fd[1], STDERR_FILENO);
	r = posix_spawnp(ret_pid, p->argv[0], &actions, NULL, (char *const *)p->argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fd[1]);
	if (!r)
		*ret_f = mem_must(fdopen(fd[0], "r"));
	else
		close(fd[0]);
	return r;
}

/* The exit code of ssh, which is the script's; -1: told. */
static int run(struct preparation *p)
{
	char line[LINE_BYTES];
	size_t room = ANSWER_MAX;
	pid_t pid;
	FILE *f = NULL;
	int status, r = start(p, &pid, &f);

	if (r) {
		cmd_error("cannot run %s: %s", p->argv[0], strerror(r));
		return -1;
	}
	while (room && fgets(line, sizeof(line), f)) {
		room -= MIN(room, strlen(line) + 1);
		take_line(p, line);
	}
	if (!room) {
		cmd_error("%s: it says more than a guest has to say, and is not listened to any "
			  "longer",
			  p->guest);
		kill(pid, SIGTERM);
	}
	fclose(f);
	while ((r = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	if (r < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* --- The end --- */

static bool has_answered(const struct preparation *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(p->count); i++)
		if (p->count[i])
			return true;
	return false;
}

static enum exit_code verdict(const struct preparation *p, int exit_code)
{
	unsigned failed = p->count[FAILED], missing = p->count[MISSING];

	if (exit_code < 0)
		return EXIT_FAILED;
	if (exit_code == SSH_FAILED && !p->count[END]) {
		cmd_error(
			has_answered(p) ?
				"%s: ssh has failed; what was done there until then can be undone" :
				"%s: ssh has failed before a word came from there; it has to get "
				"in without a question, as root or as a user of sudo",
			p->guest);
		return EXIT_UNREACHABLE;
	}
	if (exit_code || !p->count[END]) {
		cmd_error("%s: the script did not come to its end (exit code %d); run it again, or "
			  "--undo",
			  p->guest, exit_code);
		return EXIT_FAILED;
	}
	if (!failed && !missing)
		return EXIT_DONE;
	if (p->undo)
		cmd_error("%s: not all could be undone", p->guest);
	else
		cmd_error("%s is not ready: %u of its steps failed, %u need a hand; run it again "
			  "when that is done",
			  p->guest, failed, missing);
	return EXIT_FAILED;
}

static enum exit_code prepare(struct preparation *p)
{
	enum exit_code code;
	json_t *all;

	p->steps = json_array();
	p->diff = json_array();
	code = verdict(p, run(p));
	if (p->call->json) {
		all = json_object();
		json_object_set_new(all, "guest", json_string(p->guest));
		json_object_set_new(all, "dry_run", json_boolean(p->dry));
		json_object_set_new(all, "ok", json_boolean(code == EXIT_DONE));
		json_object_set(all, "steps", p->steps);
		out_json(&p->call->out, all, false);
		json_decref(all);
	}
	json_decref(p->steps);
	json_decref(p->diff);
	return code;
}

enum exit_code cmd_domain_prepare(struct cmd_call *call)
{
	struct preparation p = { .call = call };
	enum exit_code code = EXIT_USAGE;

	if (cmd_option(call, "--script")) {
		for (unsigned i = 0; prepare_script[i]; i++)
			fputs(prepare_script[i], call->out.f);
		return EXIT_DONE;
	}
	if (read_options(&p))
		code = prepare(&p);
	free(p.ssh);
	free(p.command);
	return code;
}
