/* See kernel_support.h. */
#include "tests/unit/kernel_support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define COMMAND_MAX 1024

static void skip_all(const char *what, int err)
{
	printf("1..0 # SKIP %s: %s\n", what, strerror(err));
	exit(0);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		skip_all(path, errno);
	close(fd);
}

/* Without root: a user namespace in which we are. */
static void unshare_user(void)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		skip_all("no new network namespace", errno);
	snprintf(map, sizeof(map), "0 %u 1\n", uid);
	write_text("/proc/self/uid_map", map);
	write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1\n", gid);
	write_text("/proc/self/gid_map", map);
}

void netns_enter(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		unshare_user();
	if (system("ip link set lo up") != 0)
		skip_all("no ip command", ENOENT);
}

void need_tap(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		skip_all("/dev/net/tun", errno);
	close(fd);
}

void sh(const char *fmt, ...)
{
	char command[COMMAND_MAX];
	va_list ap;
	int r;

	va_start(ap, fmt);
	assert_true(vsnprintf(command, sizeof(command), fmt, ap) < COMMAND_MAX);
	va_end(ap);
	r = system(command);
	if (r != 0)
		fail_msg("`%s` gave %d", command, r);
}

json_t *sh_json(const char *fmt, ...)
{
	char command[COMMAND_MAX];
	json_t *root;
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	assert_true(vsnprintf(command, sizeof(command), fmt, ap) < COMMAND_MAX);
	va_end(ap);
	f = popen(command, "re");
	assert_non_null(f);
	root = json_loadf(f, 0, NULL);
	return pclose(f) == 0 ? root : NULL;
}

json_t *ip_link(const char *name, const char *path, json_t **ret_root)
{
	char keys[128], *save = NULL;
	json_t *v;

	*ret_root = sh_json("ip -d -j link show dev %s", name);
	v = json_array_get(*ret_root, 0);
	snprintf(keys, sizeof(keys), "%s", path);
	for (char *key = strtok_r(keys, ".", &save); key; key = strtok_r(NULL, ".", &save))
		v = json_object_get(v, key);
	return v;
}

void assert_link_int(const char *name, const char *path, long long want)
{
	json_t *root, *v = ip_link(name, path, &root);

	if (json_is_boolean(v))
		assert_int_equal(json_is_true(v), want);
	else if (!json_is_integer(v))
		fail_msg("%s has no number %s", name, path);
	else if (json_integer_value(v) != want)
		fail_msg("%s: %s is %lld, not %lld", name, path, json_integer_value(v), want);
	json_decref(root);
}

void assert_link_text(const char *name, const char *path, const char *want)
{
	json_t *root, *v = ip_link(name, path, &root);

	if (!json_is_string(v))
		fail_msg("%s has no text %s", name, path);
	assert_string_equal(json_string_value(v), want);
	json_decref(root);
}

unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void links_changed(void *arg)
{
	struct kernel *k = arg;

	k->notified++;
}

void kernel_init(struct kernel *k)
{
	*k = (struct kernel){ 0 };
	assert_int_equal(loop_new(NULL, &k->loop), 0);
	assert_int_equal(os_linux_new(k->loop, &k->os), 0);
	k->os->links_watch(k->os, links_changed, k);
}

void kernel_fini(struct kernel *k)
{
	os_linux_free(k->os);
	loop_free(k->loop);
}

int kernel_setup(void **state)
{
	static struct kernel k;

	kernel_init(&k);
	*state = &k;
	return 0;
}

int kernel_teardown(void **state)
{
	kernel_fini(*state);
	return 0;
}

const struct os_link *kernel_link(struct kernel *k, const char *name)
{
	return k->os->link_by_name(k->os, name);
}

static void timed_out(void *arg)
{
	*(bool *)arg = true;
}

bool kernel_wait(struct kernel *k, bool (*fn)(void *arg), void *arg)
{
	struct loop_timer *t;
	bool late = false;

	assert_int_equal(loop_timer_new(k->loop, timed_out, &late, &t), 0);
	loop_timer_set(t, loop_now_us() + WAIT_US);
	while (!fn(arg) && !late)
		loop_run_once(k->loop);
	loop_timer_free(t);
	return fn(arg);
}

struct link_there {
	struct os *os;
	const char *name;
	bool there;
};

static bool link_there(void *arg)
{
	struct link_there *w = arg;

	return (w->os->link_by_name(w->os, w->name) != NULL) == w->there;
}

bool kernel_wait_link(struct kernel *k, const char *name, bool there)
{
	struct link_there w = { k->os, name, there };

	return kernel_wait(k, link_there, &w);
}

void kernel_settle(struct kernel *k)
{
	struct loop_timer *t;
	bool quiet = false;

	assert_int_equal(loop_timer_new(k->loop, timed_out, &quiet, &t), 0);
	unsigned before = k->notified - 1;
	while (!quiet || k->notified != before) {
		/* Anew only after a change: set on each turn, it would outrun its alarm. */
		if (k->notified != before)
			loop_timer_set(t, loop_now_us() + 50 * US_PER_MS);
		quiet = false;
		before = k->notified;
		loop_run_once(k->loop);
	}
	loop_timer_free(t);
}

static void compare_link(struct kernel *k, json_t *v)
{
	int index = (int)json_integer_value(json_object_get(v, "ifindex"));
	const struct os_link *l = k->os->link_by_index(k->os, index), *master;
	const char *text = json_string_value(json_object_get(v, "master"));
	json_t *info = json_object_get(v, "linkinfo");
	char mac[18];

	if (!l)
		fail_msg("the table lacks %s", json_string_value(json_object_get(v, "ifname")));
	assert_string_equal(l->name, json_string_value(json_object_get(v, "ifname")));
	assert_int_equal(l->mtu, json_integer_value(json_object_get(v, "mtu")));
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", l->mac[0], l->mac[1], l->mac[2],
		 l->mac[3], l->mac[4], l->mac[5]);
	if (json_object_get(v, "address"))
		assert_string_equal(mac, json_string_value(json_object_get(v, "address")));
	master = text ? k->os->link_by_name(k->os, text) : NULL;
	assert_int_equal(l->master, master ? master->index : 0);
	text = json_string_value(json_object_get(info, "info_kind"));
	assert_int_equal(l->kind == OS_LINK_BRIDGE, text && !strcmp(text, "bridge"));
	assert_int_equal(l->kind == OS_LINK_TUN, text && !strcmp(text, "tun"));
	assert_int_equal(l->isolated,
			 json_is_true(json_object_get(json_object_get(info, "info_slave_data"),
						      "isolated")));
	text = json_string_value(json_object_get(v, "ifalias"));
	assert_string_equal(l->alias, text ? text : "");
}

void kernel_compare_links(struct kernel *k)
{
	json_t *all = sh_json("ip -d -j link show"), *v;
	unsigned n = 0;
	size_t i;

	assert_non_null(all);
	json_array_foreach(all, i, v)
		compare_link(k, v);
	for (const struct os_link *l = NULL; (l = k->os->link_next(k->os, l));)
		n++;
	assert_int_equal(n, json_array_size(all));
	json_decref(all);
}

static void tap_frame(void *arg, unsigned lane, const struct vnet *v, uint8_t *frame, size_t len)
{
	struct test_tap *t = arg;

	(void)lane;
	t->frames++;
	t->last_vnet = *v;
	t->last_len = MIN(len, sizeof(t->last));
	memcpy(t->last, frame, t->last_len);
	if (t->close_in_frame) {
		t->os->tap_close(t->os, t->tap);
		t->tap = NULL;
	}
}

static void tap_drained(void *arg, unsigned lane)
{
	struct test_tap *t = arg;

	(void)lane;
	t->drained++;
}

static void tap_lost(void *arg, int err)
{
	struct test_tap *t = arg;

	t->lost++;
	t->lost_err = err;
	if (t->close_in_lost) {
		t->os->tap_close(t->os, t->tap);
		t->tap = NULL;
	}
}

static const struct os_tap_ops tap_ops = {
	.frame = tap_frame,
	.drained = tap_drained,
	.lost = tap_lost,
};

int test_tap_open(struct kernel *k, struct test_tap *t, const char *name, unsigned mtu)
{
	struct os_tap_params p = { .mac = { 0xfe, 1, 2, 3, 4, 5 },
				   .mtu = mtu,
				   .offload = OFFLOAD_ALL };
	int r;

	*t = (struct test_tap){ .os = k->os };
	snprintf(p.name, sizeof(p.name), "%s", name);
	r = k->os->tap_open(k->os, &p, &tap_ops, t, &t->tap);
	if (r == 0)
		t->index = k->os->tap_ifindex(k->os, t->tap);
	return r;
}

void test_tap_close(struct kernel *k, struct test_tap *t)
{
	if (t->tap)
		k->os->tap_close(k->os, t->tap);
	t->tap = NULL;
}
