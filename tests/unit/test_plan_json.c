/*
 * The plan as JSON from somebody else: a good document, altered in one place at a time, is refused
 * with the right sentence; an altered number that breaks no rule is taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/disk/plan.h"
#include "common/util.h"

#define REST "'type':'ext4','table':'','uuid':'','label':'','hibernated':false"

static const char good[] =
	"{'plan':1,'guest':'web1','notes':['a'],'disks':[{'name':'web1-disk','target':'vda',"
	"'vdev':'xvda','label':'gpt','sectors':14336,'readonly':false,'partitions':["
	"{'number':3,'start':2048,'sectors':2048,'fill':'bios-boot','boot':false},"
	"{'number':1,'start':4096,'sectors':2048,'fill':'swap','boot':false,"
	"'source':{'path':'/dev/a','bytes':1048576,'swap_page':4096," REST "}},"
	"{'number':7,'start':6144,'sectors':6144,'fill':'copy','boot':false,"
	"'source':{'path':'/dev/b','bytes':3145727,'swap_page':0," REST "}}]},"
	"{'name':'web1-disk-b','target':'vdb','vdev':'xvdb','label':'msdos','sectors':6144,"
	"'readonly':true,'partitions':[{'number':4,'start':2048,'sectors':2048,'fill':'copy',"
	"'boot':true,'source':{'path':'/dev/c','bytes':1,'swap_page':0," REST "}}]},"
	"{'name':'web1-disk-c','target':'vdc','vdev':'xvdc','label':'whole','sectors':7,"
	"'readonly':true,'partitions':[{'number':0,'start':0,'sectors':7,'fill':'copy',"
	"'boot':false,'source':{'path':'/dev/d','bytes':3584,'swap_page':0," REST "}}]}]}";

/* `good` with the nth `from` replaced by `to`, read; NULL and `err` when it is refused. */
static struct plan *altered(const char *from, unsigned nth, const char *to, char *err)
{
	char text[8192];
	const char *at = good;
	struct plan *p;
	json_t *j;

	for (at = strstr(at, from); at && nth; nth--)
		at = strstr(at + 1, from);
	if (!at)
		fail_msg("no %s in the document", from);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
	for (char *s = text; *s; s++)
		if (*s == '\'')
			*s = '"';
	j = json_loads(text, 0, NULL);
	if (!j)
		fail_msg("not JSON: %s", text);
	p = plan_from_json(j, err);
	json_decref(j);
	return p;
}

static void test_good(void **state)
{
	char err[PLAN_ERRLEN] = "";
	struct plan *p = altered("plan", 0, "plan", err);

	(void)state;
	if (!p)
		fail_msg("%s", err);
	assert_int_equal(p->n_disks, 3);
	assert_int_equal(p->disks[0].n_parts, 3);
	assert_int_equal(p->disks[0].parts[2].source.bytes, 3145727);
	assert_int_equal(p->disks[1].label, PLAN_MSDOS);
	assert_true(p->disks[1].parts[0].boot);
	assert_true(p->disks[1].readonly);
	plan_free(p);
}

static const struct {
	const char *from;
	unsigned nth;
	const char *to, *words;
} bad[] = {
	{ "'plan':1", 0, "'plan':0", "is not 1" },
	{ "'plan':1", 0, "'plan':2", "above 1" },
	{ "'plan':1", 0, "'plan':'1'", "no number" },
	{ "'plan':1,", 0, "", "\"plan\" is missing" },
	{ "'guest':'web1'", 0, "'guest':''", "no name" },
	{ "'guest':'web1'", 0, "'guest':'a\\u0001'", "no name" },
	{ "'guest':'web1'", 0, "'guest':7", "\"guest\"" },
	{ "['a']", 0, "7", "\"notes\"" },
	{ "['a']", 0, "[7]", "no sentence" },
	{ "'disks':[", 0, "'disks':7,'x':[", "\"disks\"" },
	{ "'disks':[", 0, "'disks':[],'x':[", "\"disks\"" },
	{ "'disks':[", 0, "'disks':[7,", "\"name\"" },
	{ "'name':'web1-disk'", 0, "'name':'../x'", "no name for a volume" },
	{ "'name':'web1-disk'", 0, "'name':'-x'", "no name for a volume" },
	{ "'name':'web1-disk'", 0, "'name':''", "no name for a volume" },
	{ "'name':'web1-disk'", 0, "'name':'a b'", "no name for a volume" },
	{ "'name':'web1-disk'", 0,
	  "'name':'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
	  "too long" },
	{ "web1-disk-b", 0, "web1-disk", "is there twice" },
	{ "'vdb'", 0, "'vda'", "is there twice" },
	{ "'vda'", 0, "'v/a'", "no name of a device" },
	{ "'xvda'", 0, "''", "no name of a device" },
	{ "'gpt'", 0, "'bsd'", "not a word" },
	{ "'gpt'", 0, "'msdos'", "a GPT's" },
	{ "'gpt'", 0, "'whole'", "is one source" },
	{ "'sectors':14336", 0, "'sectors':14335", "behind the last MiB" },
	{ "'sectors':14336", 0, "'sectors':0", "a disk of 0" },
	{ "'sectors':14336", 0, "'sectors':-1", "no number" },
	{ "'sectors':14336", 0, "'sectors':9223372036854775807", "above" },
	{ "'sectors':14336", 0, "'sectors':1.5", "no number" },
	{ "'sectors':6144,'readonly':t", 0, "'sectors':4294967296,'readonly':t", "a disk of" },
	{ "'readonly':false", 0, "'readonly':0", "neither true nor false" },
	{ "'partitions':[", 0, "'partitions':[],'x':[", "\"partitions\"" },
	{ "'partitions':[", 0, "'partitions':[7,", "\"number\"" },
	{ "'number':3", 0, "'number':0", "no such number" },
	{ "'number':3", 0, "'number':129", "above 128" },
	{ "'number':3", 0, "'number':7", "is there twice" },
	{ "'number':4", 0, "'number':5", "no such number" },
	{ "'number':0", 0, "'number':1", "is one source" },
	{ "'start':2048", 0, "'start':0", "begins before" },
	{ "'start':2048", 0, "'start':2047", "not aligned" },
	{ "'start':2048", 0, "'start':4096", "begins before" },
	{ "'start':6144", 0, "'start':8192", "behind the last MiB" },
	{ "'start':6144", 0, "'start':1125899906842624", "behind the last MiB" },
	{ "'sectors':6144,'fill'", 0, "'sectors':8192,'fill'", "behind the last MiB" },
	{ "'sectors':6144,'fill'", 0, "'sectors':4096,'fill'", "smaller than its source" },
	{ "'sectors':2048", 1, "'sectors':0", "not aligned" },
	{ "'sectors':7", 1, "'sectors':8", "is one source" },
	{ "'boot':false", 1, "'boot':true", "an msdos table's" },
	{ "'boot':false", 1, "'boot':1", "neither true nor false" },
	{ "'bios-boot'", 0, "'copy'", "\"path\"" },
	{ "'bios-boot'", 0, "'dance'", "not a word" },
	{ "'copy'", 0, "'bios-boot'", "has no source" },
	{ "'copy'", 0, "'swap'", "cannot become swap" },
	{ "'swap_page':4096", 0, "'swap_page':0", "cannot become swap" },
	{ "'swap_page':4096", 0, "'swap_page':4097", "no page of swap" },
	{ "'swap_page':4096", 0, "'swap_page':4294967296", "above" },
	{ "'hibernated':false", 0, "'hibernated':true", "holds the memory" },
	{ "'label':''", 0, "'label':'12345678901234567'", "cannot become swap" },
	{ "'uuid':''", 0, "'uuid':'1234'", "cannot become swap" },
	{ "'label':''", 0, "'label':'a\\nb'", "a control character" },
	{ "'/dev/b'", 0, "'dev/b'", "no absolute path" },
	{ "'/dev/b'", 0, "'/dev/\\n'", "no absolute path" },
	{ "'bytes':3145727", 0, "'bytes':3145729", "smaller than its source" },
	{ "'bytes':3145727", 0, "'bytes':0", "no source has 0" },
	{ "'bytes':3145727", 0, "'bytes':9223372036854775807", "above" },
};

static void test_bad(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		char err[PLAN_ERRLEN] = "";
		struct plan *p = altered(bad[i].from, bad[i].nth, bad[i].to, err);

		if (p)
			fail_msg("%s -> %s was taken", bad[i].from, bad[i].to);
		if (!strstr(err, bad[i].words))
			fail_msg("%s -> %s: \"%s\", not \"%s\"", bad[i].from, bad[i].to, err,
				 bad[i].words);
	}
}

static void test_taken(void **state)
{
	static const struct {
		const char *from, *to;
	} fine[] = {
		{ "'plan':1", "'plan':1,'new':{}" }, { "'sectors':14336", "'sectors':14337" },
		{ "'boot':true", "'boot':false" },   { "'bytes':3145727", "'bytes':3145728" },
		{ "'number':7", "'number':128" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(fine); i++) {
		char err[PLAN_ERRLEN] = "";
		struct plan *p = altered(fine[i].from, 0, fine[i].to, err);

		if (!p)
			fail_msg("%s: %s", fine[i].to, err);
		plan_free(p);
	}
}

static void test_not_even_an_object(void **state)
{
	char err[PLAN_ERRLEN];
	json_t *j = json_array();

	(void)state;
	assert_null(plan_from_json(NULL, err));
	assert_null(plan_from_json(j, err));
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_not_even_an_object),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
