/*
 * The reader of l2tund.conf against real files, in numbers, and for what golden files
 * cannot show: that every mistake of a thousand is reported with its line, that one load
 * leaves nothing behind for the next, and that printing and reading are inverse.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/offload.h"
#include "l2tund/config_private.h"

/* Alice's and Bob's of RFC 7748 section 6.1. */
#define PRIVATE "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="
#define PUBLIC "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
#define OTHER "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
#define NODE "node { name = n1 private-key = \"/k\" }\n"

static char dir[] = "/tmp/test_config.XXXXXX";

/* --- Help --- */

static int fake_key(const char *path, struct key *ret, char *err)
{
	(void)path;
	(void)err;
	return key_parse(PRIVATE, ret);
}

static bool always(const char *name)
{
	(void)name;
	return true;
}

static const struct config_hooks *fake_hooks(void)
{
	static struct config_hooks hooks;

	hooks = config_hooks_system;
	hooks.read_key = fake_key;
	hooks.user_exists = always;
	hooks.group_exists = always;
	return &hooks;
}

static int load_text(const char *text, struct config **ret, struct config_report *report)
{
	*ret = NULL;
	*report = (struct config_report){ 0 };
	return config_load_buffer(fake_hooks(), "t", text, strlen(text), ret, report);
}

static struct config *load_good(const char *text)
{
	struct config_report report;
	struct config *c;

	if (load_text(text, &c, &report) < 0)
		fail_msg("refused: %s", report.n ? report.lines[0] : "without a reason");
	config_report_fini(&report);
	return c;
}

static char *print(const struct config *c)
{
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	config_print(c, f);
	fclose(f);
	return out;
}

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
	const char *path = in_dir(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) && mkdir(in_dir("conf.d"), 0700) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* --- Every mistake, with its line --- */

/* One mistake each (@ is a number); what else stands there is right and must not be blamed. */
static const char *const mistakes[] = {
	"}\n",
	"bogus = 1\n",
	"bridge \"b@\" { bogus = 1 }\n",
	"bridge \"b@\" { stp = perhaps }\n",
	"bridge \"b@\" { stp }\ntunnel \"t@\" { peer = \"p\" bridge = \"x@\" }\n",
	"bridge \"b@ { }\n",
	"peer \"p@\" { }\n",
	"peer \"p@\" { public-key = \"short\" }\n",
	"peer \"p@\" { public-key = {\"" OTHER "\"} }\n",
	"tunnel \"t@\" { peer = \"nobody\" bridge = \"b\" }\n",
	"tunnel \"t@\" { peer = \"p\" bridge = \"y@\" priority = 65536 }\n",
	"tunnel \"t@\" { peer = \"p\" bridge = \"z@\" priority = 1 priority = 2 }\n",
	"bridge \"c@\" { ports = {\"a\" \"b\"} }\n",
	"bridge \"d@\" { forward-delay = \"\\400\" }\n",
	"bridge \"e@\"\n{ create = }\n",
	"frobnicate \"f@\" {\n a = 1\n b { c = 2 }\n}\n",
	"* @\n",
	"= @\n",
	"\"h@\" = 1\n",
	"include(\"/nonexistent/@\")\n",
	"exec(\"@\")\n",
	"bridge \"i@.\\001\" { }\n",
	"offload { tso = @ }\n",
	"bridge \"g@\" {\n", /* ends where the next one begins */
	"bridge \"verylongname-x@\" { } # comment \" with { all ' sorts } of things\n",
	"/* a\n * comment\n */ bogus@ = \"x\"\n",
};

/* The mistake stands in the comment's last line, or in its second. */
static unsigned offset_of(size_t kind)
{
	const char *m = mistakes[kind];

	if (m[0] == '/')
		return 2;
	return m[0] == 'b' && strstr(m, "\"e@\"") ? 1 : 0;
}

static void thousand_mistakes(void **state)
{
	enum { N = 1000 };
	static unsigned want[N];
	struct config_report report;
	struct config *c;
	char *text = NULL;
	size_t len;
	unsigned line = 3, at = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	fputs(NODE "peer \"p\" { public-key = \"" OTHER "\" }\n", f);
	for (unsigned i = 0; i < N; i++) {
		size_t kind = i % ARRAY_SIZE(mistakes);

		want[i] = line + offset_of(kind);
		for (const char *p = mistakes[kind]; *p; p++) {
			line += *p == '\n';
			if (*p == '@')
				fprintf(f, "%u", i);
			else
				fputc(*p, f);
		}
	}
	fclose(f);
	assert_int_equal(load_text(text, &c, &report), -EINVAL);
	assert_null(c);
	for (unsigned i = 0; i < N; i++) {
		unsigned got = 0;
		bool found = false;

		for (; at < report.n; at++) {
			if (strstr(report.lines[at], ": warning: "))
				continue;
			assert_int_equal(sscanf(report.lines[at], "t:%u: ", &got), 1);
			if (got >= want[i])
				break;
			fail_msg("line %u is blamed: %s", got, report.lines[at]);
		}
		for (; at < report.n && sscanf(report.lines[at], "t:%u: ", &got) == 1 &&
		       got == want[i];
		     at++)
			found = true;
		if (!found)
			fail_msg("line %u is not reported: %s", want[i],
				 mistakes[i % ARRAY_SIZE(mistakes)]);
	}
	assert_int_equal(at, report.n);
	config_report_fini(&report);
	free(text);
}

static void list_of_findings_ends(void **state)
{
	enum { N = CONF_FINDINGS_MAX + 5000 };
	struct config_report report;
	struct config *c;
	char *text = malloc(N * 6 + sizeof(NODE)), *p = text;

	(void)state;
	p = stpcpy(p, NODE);
	for (int i = 0; i < N; i++)
		p = stpcpy(p, "x = 1\n");
	assert_int_equal(load_text(text, &c, &report), -EINVAL);
	assert_int_equal(report.n, CONF_FINDINGS_MAX + 1);
	assert_int_equal(report.n_errors, N);
	assert_non_null(strstr(report.lines[CONF_FINDINGS_MAX], "5000 more errors"));
	assert_memory_equal(report.lines[CONF_FINDINGS_MAX - 1], "t:10001: ", 9);
	config_report_fini(&report);
	free(text);
}

/* An unclosed string once made libconfuse read the next file as if inside of it. */
static void nothing_left_behind(void **state)
{
	static const char *const bad[] = { "node { name = \"x\n",      "node { name = 'x",
					   "node { name = \"\\777\" ", "/*",
					   "node { name = \"${x",      "bridge \"a\" { ports = {" };
	struct config_report report;
	struct config *c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(load_text(bad[i], &c, &report), -EINVAL);
		assert_null(c);
		config_report_fini(&report);
		c = load_good(NODE);
		assert_string_equal(c->node.name, "n1");
		config_free(c);
	}
}

/* --- Values --- */

static void every_field(void **state)
{
	struct config *c =
		load_good("node {\n name = \"n\"\n private-key = \"/k\"\n"
			  " listen = {\"192.0.2.1:7\", \"[::1]:8\"}\n"
			  " control = \"/c\"\n control-group = \"g\"\n state-dir = \"/s\"\n"
			  " metrics = \"127.0.0.1:9\"\n workers = 3\n user = \"u\"\n}\n"
			  "bridge \"b\" {\n create = yes\n stp = on\n forward-delay = 4\n"
			  " ports = {\"e0\", \"e1\"}\n}\n"
			  "peer \"p\" {\n public-key = \"" OTHER "\"\n preshared-key = \"/psk\"\n"
			  " address = \"h.example:77\"\n data = {\"aead\", \"none\"}\n}\n"
			  "tunnel \"t\" {\n peer = \"p\"\n bridge = \"b\"\n remote-bridge = \"r\"\n"
			  " mode = mesh\n priority = 65535\n preempt = yes\n"
			  " profile = fast\n policer = 12\n}\n"
			  "tunnel \"u\" { peer = \"p\" bridge = \"i\" }\n");
	char addr[ADDR_STRLEN], key[KEY_STRLEN];

	(void)state;
	assert_string_equal(c->path, "t");
	assert_string_equal(c->node.name, "n");
	assert_string_equal(c->node.private_key_path, "/k");
	assert_string_equal(key_format(&c->node.private_key, key), PRIVATE);
	assert_string_equal(key_format(&c->node.public_key, key), PUBLIC);
	assert_int_equal(c->node.n_listen, 2);
	assert_string_equal(addr_format(&c->node.listen[0], addr), "192.0.2.1:7");
	assert_string_equal(addr_format(&c->node.listen[1], addr), "[::1]:8");
	assert_string_equal(c->node.control, "/c");
	assert_string_equal(c->node.control_group, "g");
	assert_string_equal(c->node.state_dir, "/s");
	assert_string_equal(c->node.metrics, "127.0.0.1:9");
	assert_int_equal(c->node.workers, 3);
	assert_string_equal(c->node.user, "u");
	assert_string_equal(c->node.src.file, "t");
	assert_int_equal(c->node.src.line, 1);
	assert_int_equal(c->n_bridges, 2);
	assert_string_equal(c->bridges[0].name, "b");
	assert_true(c->bridges[0].create && c->bridges[0].stp && !c->bridges[0].implied);
	assert_int_equal(c->bridges[0].forward_delay_s, 4);
	assert_int_equal(c->bridges[0].n_ports, 2);
	assert_string_equal(c->bridges[0].ports[1], "e1");
	assert_int_equal(c->bridges[0].src.line, 12);
	assert_string_equal(c->bridges[1].name, "i");
	assert_true(c->bridges[1].implied && !c->bridges[1].create);
	assert_int_equal(c->bridges[1].src.line, 34);
	assert_int_equal(c->n_peers, 1);
	assert_string_equal(key_format(&c->peers[0].public_key, key), OTHER);
	assert_string_equal(key_format(&c->peers[0].psk, key), PRIVATE);
	assert_string_equal(c->peers[0].psk_path, "/psk");
	assert_string_equal(c->peers[0].host, "h.example");
	assert_int_equal(c->peers[0].port, 77);
	assert_int_equal(c->peers[0].modes, 1 << DATA_AEAD | 1 << DATA_NONE);
	assert_int_equal(c->peers[0].src.line, 18);
	assert_int_equal(c->n_tunnels, 2);
	assert_ptr_equal(c->tunnels[0].peer, &c->peers[0]);
	assert_ptr_equal(c->tunnels[0].bridge, &c->bridges[0]);
	assert_string_equal(c->tunnels[0].remote_bridge, "r");
	assert_true(c->tunnels[0].mesh);
	assert_int_equal(c->tunnels[0].priority, 65535);
	assert_int_equal(c->tunnels[0].profile, PROFILE_FAST);
	assert_int_equal(c->tunnels[0].policer, 12);
	assert_int_equal(c->tunnels[0].src.line, 24);
	assert_true(c->tunnels[0].preempt);
	assert_false(c->tunnels[1].preempt);
	assert_string_equal(c->tunnels[1].remote_bridge, "i");
	assert_ptr_equal(config_find_tunnel(c, "u"), &c->tunnels[1]);
	assert_ptr_equal(config_find_peer(c, "p"), &c->peers[0]);
	assert_ptr_equal(config_find_bridge(c, "i"), &c->bridges[1]);
	assert_null(config_find_tunnel(c, "p"));
	config_free(c);
}

static void defaults(void **state)
{
	struct config *c = load_good(NODE "peer \"p\" { public-key = \"" OTHER "\" }\n"
					  "tunnel \"t\" { peer = \"p\" bridge = \"b\" }\n");
	char addr[ADDR_STRLEN];

	(void)state;
	assert_int_equal(c->node.n_listen, 2);
	assert_string_equal(addr_format(&c->node.listen[0], addr), "0.0.0.0:4655");
	assert_string_equal(addr_format(&c->node.listen[1], addr), "[::]:4655");
	assert_string_equal(c->node.control, "/run/l2tund/control.sock");
	assert_string_equal(c->node.state_dir, "/var/lib/l2tund");
	assert_int_equal(c->node.workers, 1);
	assert_int_equal(c->node.offload, OFFLOAD_ALL);
	assert_null(c->node.metrics);
	assert_null(c->node.user);
	assert_null(c->node.control_group);
	assert_null(c->peers[0].host);
	assert_null(c->peers[0].psk_path);
	assert_int_equal(c->peers[0].modes, 1 << DATA_AEAD);
	assert_int_equal(c->tunnels[0].priority, 100);
	assert_int_equal(c->tunnels[0].policer, 4000);
	assert_int_equal(c->tunnels[0].profile, PROFILE_DEFAULT);
	assert_false(c->tunnels[0].mesh);
	assert_false(c->tunnels[0].preempt);
	config_free(c);
}

/* Each switch alone, as the file says it, and as it is printed. */
static void offload_switches(void **state)
{
	(void)state;
	for (unsigned o = 0; o < OFFLOADS; o++) {
		unsigned want = OFFLOAD_ALL & ~(1U << o);
		char text[160], line[64], *printed;
		struct config *a, *b;

		if (o == OFFLOAD_CHECKSUM)
			want &= ~(1U << OFFLOAD_TSO | 1U << OFFLOAD_USO);
		snprintf(text, sizeof(text), NODE "offload { %s = off }\n",
			 offload_name((enum offload)o));
		a = load_good(text);
		assert_int_equal(a->node.offload, want);
		printed = print(a);
		snprintf(line, sizeof(line), "    %s = off\n", offload_name((enum offload)o));
		assert_non_null(strstr(printed, line));
		b = load_good(printed);
		assert_int_equal(b->node.offload, want);
		config_free(a);
		config_free(b);
		free(printed);
	}
}

/* Only who asked for super-frames by name is told that there are none without checksum. */
static void offload_without_checksum(void **state)
{
	static const struct {
		const char *options;
		unsigned warnings;
	} rows[] = {
		{ "checksum = off", 0 },	  { "checksum = off tso = off uso = off", 0 },
		{ "checksum = off tso = on", 1 }, { "uso = yes checksum = no tso = yes", 2 },
		{ "checksum = on tso = on", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config_report report;
		struct config *c;
		char text[160];

		snprintf(text, sizeof(text), NODE "offload { %s }\n", rows[i].options);
		assert_int_equal(load_text(text, &c, &report), 0);
		assert_int_equal(report.n, rows[i].warnings);
		assert_int_equal(report.n_errors, 0);
		if (report.n > 0)
			assert_memory_equal(report.lines[0], "t:2: warning: offload: ", 23);
		config_report_fini(&report);
		config_free(c);
	}
}

/* Strings of every printable character come back through print as they were. */
static void quoting(void **state)
{
	static const char *const odd[] = { "/a\"b", "/a'b",    "/a\\b",	   "/${HOME}", "/$HOME",
					   "/\\",   "/\\n'\"", "/#//\\/*", "/{},=()",  "/\xc3\xa4 ",
					   "/\\'",  "/'\\",    "/${",	   "/\\\\''" };
	struct config *a = load_good(NODE), *b;
	char all[256] = "/";
	char *text;

	(void)state;
	for (int ch = ' '; ch < 0x7f; ch++)
		all[1 + ch - ' '] = (char)ch;
	for (size_t i = 0; i <= ARRAY_SIZE(odd); i++) {
		free(a->node.state_dir);
		a->node.state_dir = strdup(i < ARRAY_SIZE(odd) ? odd[i] : all);
		text = print(a);
		b = load_good(text);
		assert_string_equal(a->node.state_dir, b->node.state_dir);
		config_free(b);
		free(text);
	}
	config_free(a);
}

static void environment(void **state)
{
	struct config_report report;
	struct config *c;

	(void)state;
	setenv("L2TUND_TEST", "from-env", 1);
	c = load_good("node { name = ${L2TUND_TEST} private-key = \"/${L2TUND_NONE:-k}\" }\n");
	assert_string_equal(c->node.name, "from-env");
	assert_string_equal(c->node.private_key_path, "/k");
	config_free(c);
	c = load_good("node { name = n private-key = '/${L2TUND_TEST}' }\n");
	assert_string_equal(c->node.private_key_path, "/${L2TUND_TEST}");
	config_free(c);
	setenv("L2TUND_TEST", "a\nb", 1);
	assert_int_equal(
		load_text("node { name = \"${L2TUND_TEST}\" private-key = \"/k\" }", &c, &report),
		-EINVAL);
	for (unsigned i = 0; i < report.n; i++)
		assert_null(strchr(report.lines[i], '\n'));
	config_report_fini(&report);
	unsetenv("L2TUND_TEST");
}

static int odd_host(char *buf, size_t size)
{
	snprintf(buf, size, "-odd");
	return 0;
}

static int dotted_host(char *buf, size_t size)
{
	snprintf(buf, size, "kvm1.example.net");
	return 0;
}

static void host_name(void **state)
{
	static const char text[] = "node { private-key = \"/k\" }";
	struct config_hooks hooks = *fake_hooks();
	struct config_report report = { 0 };
	struct config *c = NULL;

	(void)state;
	hooks.host_name = odd_host;
	assert_int_equal(config_load_buffer(&hooks, "t", text, strlen(text), &c, &report), -EINVAL);
	assert_non_null(strstr(report.lines[0], "the host name `-odd` is none"));
	config_report_fini(&report);
	hooks.host_name = dotted_host;
	assert_int_equal(config_load_buffer(&hooks, "t", text, strlen(text), &c, &report), 0);
	assert_string_equal(c->node.name, "kvm1");
	config_free(c);
}

/* --- Real files --- */

static void relative_keys(void **state)
{
	struct config_report report = { 0 };
	struct config *c = NULL;
	char want[160];
	const char *path;

	(void)state;
	write_file("n.key", PRIVATE "\n", 0600);
	write_file("conf.d/p.conf",
		   "peer \"p\" { public-key = \"" OTHER "\" preshared-key = \"n.key\" }\n", 0644);
	path = write_file(
		"rel.conf",
		"node { name = n1 private-key = \"n.key\" }\ninclude(\"conf.d/*.conf\")\n", 0644);
	assert_int_equal(config_load(path, &c, &report), 0);
	assert_int_equal(report.n, 0);
	snprintf(want, sizeof(want), "%s/n.key", dir);
	assert_string_equal(c->node.private_key_path, want);
	assert_string_equal(c->peers[0].psk_path, want);
	assert_string_equal(c->peers[0].src.file, in_dir("conf.d/p.conf"));
	config_free(c);
	/* As seen from another folder. */
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(config_load("rel.conf", &c, &report), 0);
	assert_string_equal(c->node.private_key_path, want);
	assert_string_equal(c->peers[0].src.file, "conf.d/p.conf");
	assert_int_equal(chdir("/"), 0);
	config_free(c);
}

/* What is said of a file that cannot be taken; to be freed with config_report_fini(). */
static struct config_report load_bad(const char *path)
{
	struct config_report report = { 0 };
	struct config *c = NULL;

	assert_int_equal(config_load(path, &c, &report), -EINVAL);
	assert_null(c);
	return report;
}

static void open_key(void **state)
{
	struct config_report report;
	const char *path;

	(void)state;
	write_file("open.key", PRIVATE "\n", 0644);
	path = write_file("open.conf", "\n\nnode { name = n1\n private-key = \"open.key\" }\n",
			  0644);
	report = load_bad(path);
	assert_int_equal(report.n_errors, 1);
	assert_non_null(strstr(report.lines[0], "open.conf:4: node: private-key: "));
	assert_non_null(strstr(report.lines[0], "open.key: others can"));
	config_report_fini(&report);
}

static void refused(const char *path, const char *why)
{
	struct config_report report = load_bad(path);

	assert_int_equal(report.n, 1);
	assert_int_equal(report.n_errors, 1);
	assert_int_equal(strncmp(report.lines[0], path, strlen(path)), 0);
	assert_non_null(strstr(report.lines[0], why));
	config_report_fini(&report);
}

static void unreadable(void **state)
{
	char *big = malloc(CONF_FILE_MAX_BYTES + 2);

	(void)state;
	refused(in_dir("none.conf"), "No such file");
	refused(dir, "Is a directory");
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	refused(in_dir("fifo"), "not a regular file");
	memset(big, '#', CONF_FILE_MAX_BYTES + 1);
	big[CONF_FILE_MAX_BYTES + 1] = '\0';
	refused(write_file("big.conf", big, 0600), "too large");
	/* One byte less is a long comment: then only the node is missing. */
	big[CONF_FILE_MAX_BYTES] = '\0';
	refused(write_file("big.conf", big, 0600), "no node section");
	free(big);
}

/* The same file under ever longer names: only the depth stops it. */
static void include_loop(void **state)
{
	struct config_report report;

	(void)state;
	assert_int_equal(mkdir(in_dir("d"), 0700), 0);
	report = load_bad(write_file("d/loop.conf", "include(\"../d/loop.conf\")\n", 0600));
	assert_int_equal(report.n_errors, 2);
	assert_non_null(strstr(report.lines[1], "more than 8 levels"));
	assert_non_null(strstr(report.lines[0], "no node section"));
	config_report_fini(&report);
}

/* Ends the stream and loads its text: what is said of it is one thing. */
static struct config_report load_stream(FILE *f, char **text)
{
	struct config_report report;
	struct config *c;

	assert_int_equal(fclose(f), 0);
	assert_int_equal(load_text(*text, &c, &report), -EINVAL);
	assert_int_equal(report.n, 1);
	free(*text);
	return report;
}

static void many_objects(void **state)
{
	struct config_report report;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	fputs(NODE, f);
	for (int i = 0; i <= CONF_OBJECTS_MAX; i++)
		fprintf(f, "bridge \"b%d\" { create = yes }\n", i);
	report = load_stream(f, &text);
	assert_string_equal(report.lines[0],
			    "t:4098: more than 4096 sections of kind bridge; remove some");
	config_report_fini(&report);
}

static void many_tunnels(void **state)
{
	struct config_report report;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	fputs(NODE "peer \"p\" { public-key = \"" OTHER "\" }\n", f);
	for (int i = 0; i <= 257; i++)
		fprintf(f, "tunnel \"t%d\" { peer = \"p\" bridge = \"b%d\" }\n", i, i);
	report = load_stream(f, &text);
	assert_non_null(
		strstr(report.lines[0], "t:259: tunnel t256: peer: peer p has more than 256"));
	config_report_fini(&report);
}

static void report_lines(void **state)
{
	struct config_src src = { .file = (char *)"f", .line = 7 };
	struct config_report r = { 0 };

	(void)state;
	config_report_add(&r, &src, true, "a %d; b", 1);
	config_report_add(&r, &src, false, "c");
	assert_int_equal(r.n, 2);
	assert_int_equal(r.n_errors, 1);
	assert_string_equal(r.lines[0], "f:7: a 1; b");
	assert_string_equal(r.lines[1], "f:7: warning: c");
	config_report_fini(&r);
	assert_int_equal(r.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thousand_mistakes),
		cmocka_unit_test(list_of_findings_ends),
		cmocka_unit_test(nothing_left_behind),
		cmocka_unit_test(every_field),
		cmocka_unit_test(defaults),
		cmocka_unit_test(offload_switches),
		cmocka_unit_test(offload_without_checksum),
		cmocka_unit_test(quoting),
		cmocka_unit_test(environment),
		cmocka_unit_test(host_name),
		cmocka_unit_test(relative_keys),
		cmocka_unit_test(open_key),
		cmocka_unit_test(unreadable),
		cmocka_unit_test(include_loop),
		cmocka_unit_test(many_objects),
		cmocka_unit_test(many_tunnels),
		cmocka_unit_test(report_lines),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("config", tests, setup, teardown);
}
