/*
 * sim_mutants: the simulator against deliberate faults of the barrier. Only the flood walk
 * judges. The module as it is must pass; each mutant must make a loop in the schedules that
 * were written for it, and those that chance can find also in random ones, within a
 * bounded number of seeds.
 *
 *	sim_mutants [--seeds N] [--mutant M]	seeds per mutant, at most; one mutant only
 */
#include <getopt.h>
#include <stdio.h>

#include "tests/sim/sim.h"

enum topo_mutant topo_mutant;

#define SEEDS 4000
#define CLEAN_SEEDS 500
#define SEED_SECONDS 120

static const struct {
	const char *name;
	/* Random schedules find it, too; the wait before opening hides short faults from them. */
	bool random;
} about[MUTANTS] = {
	[MUTANT_NONE] = { "no mutant", false },
	[MUTANT_NO_BARRIER] = { "no barrier", true },
	[MUTANT_NEIGHBOURS_ONLY] = { "a barrier among neighbours only", false },
	[MUTANT_NO_INCARNATION] = { "a digest without incarnations", false },
	[MUTANT_PUBLISH_FIRST] = { "told before it is closed", false },
	[MUTANT_OLD_SYNC] = { "what an earlier incarnation has told", false },
	[MUTANT_KEEP_DEAD] = { "a gate outlives its session", true },
};

/* How many seeds it took until there was a loop; 0: none of them made one. */
static uint64_t hunt(uint64_t seeds)
{
	struct stats s;

	for (uint64_t i = 1; i <= seeds; i++) {
		alarm(SEED_SECONDS);
		random_run(i, false, true, &s);
		if (s.loops)
			return i;
	}
	return 0;
}

static bool report(unsigned *test, bool ok, const char *what, const char *name)
{
	printf("%sok %u - %s: %s\n", ok ? "" : "not ", ++*test, name, what);
	fflush(stdout);
	return ok;
}

static bool try_directed(unsigned *test)
{
	bool all = true, looped;
	unsigned before = *test;

	for (unsigned i = 0; i < directed_count; i++) {
		if (!(directed_all[i].catches & 1u << topo_mutant))
			continue;
		directed_run(&directed_all[i], false, true, &looped);
		all &= report(test, looped, directed_all[i].name, about[topo_mutant].name);
	}
	return all && *test > before;
}

static bool try_mutant(unsigned *test, uint64_t seeds)
{
	if (topo_mutant == MUTANT_NONE) {
		uint64_t at = hunt(MIN(seeds, CLEAN_SEEDS));
		if (at)
			printf("# seed %lu makes a loop\n", (unsigned long)at);
		return report(test, at == 0, "no loop in random schedules", about[0].name);
	}
	bool ok = try_directed(test);
	if (!about[topo_mutant].random)
		return ok;
	uint64_t at = hunt(seeds);
	if (at)
		printf("# %s: found by seed %lu\n", about[topo_mutant].name, (unsigned long)at);
	return report(test, at != 0, "found by random schedules", about[topo_mutant].name) && ok;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = { { "seeds", required_argument, NULL, 'n' },
					       { "mutant", required_argument, NULL, 'm' },
					       { 0 } };
	uint64_t seeds = SEEDS;
	unsigned test = 0, only = MUTANTS;
	bool ok = true;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'n')
			seeds = strtoull(optarg, NULL, 10);
		else if (c == 'm')
			only = (unsigned)atoi(optarg);
		else
			return 2;
	}
	for (unsigned m = MUTANT_NONE; m < MUTANTS; m++) {
		topo_mutant = (enum topo_mutant)m;
		if (only == MUTANTS || only == m)
			ok &= try_mutant(&test, seeds);
	}
	printf("1..%u\n", test);
	return !ok;
}
