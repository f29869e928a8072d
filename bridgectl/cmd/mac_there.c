/*
 * What a start, or a definition, asks the host that the guest comes from. A guest that was shut
 * down a moment ago is still in all forwarding tables, as one that runs is: only its old host knows
 * better. Its answer is that of another program: nothing in it is believed but names, states and
 * addresses.
 */
#include "bridgectl/cmd/mac_there.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bridgectl/cmd/far.h"
#include "bridgectl/cmd/view.h"
#include "bridgectl/domain/mem.h"
#include "common/proc.h"
#include "common/util.h"

#define ASK_MS (60 * 1000)
#define ASK_BYTES ((size_t)16 << 20)

/* The last is the reason: ssh warns of much before it. */
static const char *last_line(char *text)
{
	size_t len = strlen(text);
	char *before;

	while (len && strchr("\r\n", text[len - 1]))
		text[--len] = '\0';
	before = strrchr(text, '\n');
	return before ? before + 1 : text;
}

static void tell_failed(const char *host, const char *ssh, struct proc_result *r)
{
	const char *said = last_line(r->err);

	if (r->exit_code == FAR_SSH_FAILED)
		cmd_error("%s: cannot ask it for its domains: %s; `%s %s true` has to work", host,
			  *said ? said : "ssh failed", ssh, host);
	else if (r->exit_code == FAR_NO_COMMAND)
		cmd_error("%s: cannot ask it for its domains: there is no bridgectl; see "
			  "--remote-bridgectl",
			  host);
	else if (*said)
		cmd_error("%s: cannot ask it for its domains: %s", host, said);
	else
		cmd_error("%s: cannot ask it for its domains: it ended with exit code %d", host,
			  r->exit_code);
}

/* NULL: told. */
static json_t *read_answer(const char *host, const char *ssh, struct proc_result *r)
{
	json_t *j = r->exit_code ? NULL : json_loads(r->out ? r->out : "", 0, NULL);

	if (j && json_is_array(json_object_get(j, "domains")))
		return j;
	json_decref(j);
	if (r->exit_code)
		tell_failed(host, ssh, r);
	else
		cmd_error("%s: its bridgectl lists no domains; is it of another version?", host);
	return NULL;
}

/* The domains of `host`; NULL: told. */
static json_t *ask(const struct cmd_call *call, const char *host)
{
	static const struct proc_limits limits = { .timeout_ms = ASK_MS,
						   .out_bytes = ASK_BYTES,
						   .asks = true };
	static const char *const passed[] = { NULL };
	const char *option = cmd_option(call, "--ssh"), *argv[FAR_SSH_WORDS];
	const char *given = option ? option : FAR_SSH_DEFAULT;
	_cleanup_free_ char *ssh = strdup(given);
	_cleanup_free_ char *command = far_command(call, "domain list --json", passed);
	struct proc_result result;
	json_t *j;
	int r;

	if (!ssh || !command || !far_ssh_words(ssh, argv, host, command))
		return NULL;
	r = proc_run(argv, &limits, NULL, 0, &result);
	if (r < 0) {
		cmd_error("cannot ask %s: %s: %s", host, argv[0], strerror(-r));
		return NULL;
	}
	j = read_answer(host, given, &result);
	proc_result_fini(&result);
	return j;
}

/* A guest may have another address there, or none that is told: its name counts, too. */
static bool is_it(const json_t *domain, const char *name, const char *const macs[], unsigned n_macs)
{
	const json_t *v;
	size_t i;

	if (!strcmp(view_str(domain, "name"), name))
		return true;
	json_array_foreach(json_object_get(domain, "interfaces"), i, v)
		for (unsigned j = 0; j < n_macs; j++)
			if (macs[j][0] && !strcasecmp(view_str(v, "mac"), macs[j]))
				return true;
	return false;
}

bool mac_on_there(const struct cmd_call *call, const char *host, const char *name,
		  const char *const macs[], unsigned n_macs, struct mac_there *ret)
{
	json_t *answer, *d;
	size_t i;

	if (*host == '-') {
		cmd_error("--from takes the name of a host, not \"%.40s\"", host);
		return false;
	}
	answer = ask(call, host);
	if (!answer)
		return false;
	*ret = (struct mac_there){ 0 };
	json_array_foreach(json_object_get(answer, "domains"), i, d)
		if (!ret->name && strcmp(view_str(d, "state"), hyper_state_name(HYPER_OFF)) != 0 &&
		    is_it(d, name, macs, n_macs))
			*ret = (struct mac_there){ mem_strdup(view_str(d, "name")),
						   mem_strdup(view_str(d, "state")) };
	json_decref(answer);
	return true;
}

void mac_there_fini(struct mac_there *t)
{
	free(t->name);
	free(t->state);
	*t = (struct mac_there){ 0 };
}
