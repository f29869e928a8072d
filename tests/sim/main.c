/*
 * sim: the topology module of many nodes in one process, in virtual time, with faults.
 *
 *	sim [--seeds N] [--from S] [--jobs J]	random schedules, after the written ones
 *	sim --seed S [-v]			one again, with what happens in it
 *	sim --directed NAME [-v]		one of the written ones
 *	sim --cost N				what full mesh, ring and star of N nodes cost
 *
 * $SIM_SEEDS is the default of --seeds. TAP on stdout; a failing seed is printed.
 */
#include <getopt.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/sim/sim.h"

#define SEEDS 20000
#define JOBS_MAX 8
#define FAILURES_MAX 20 /* of one job; then it ends */
#define SEED_SECONDS 120

struct job {
	uint64_t seed; /* at work */
	struct stats stats;
};

struct options {
	uint64_t seeds, from, seed;
	unsigned jobs, cost;
	bool verbose;
	const char *directed;
};

static void run_job(struct job *job, const struct options *o, unsigned number)
{
	struct stats one;

	for (uint64_t i = number; i < o->seeds; i += o->jobs) {
		job->seed = o->from + i;
		alarm(SEED_SECONDS); /* of real time: a loop in the code */
		random_run(job->seed, false, false, &one);
		stats_add(&job->stats, &one);
		if (job->stats.failures >= FAILURES_MAX)
			break;
	}
	fflush(stdout);
}

/* False when a job has ended by a signal; what the others did is added up. */
static bool run_jobs(const struct options *o, struct stats *ret)
{
	struct job *jobs = mmap(NULL, JOBS_MAX * sizeof(*jobs), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[JOBS_MAX];
	bool ok = jobs != MAP_FAILED;

	fflush(stdout);
	for (unsigned i = 0; ok && i < o->jobs; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			run_job(&jobs[i], o, i);
			exit(0);
		}
	}
	for (unsigned i = 0; ok && i < o->jobs; i++) {
		int status = 0;
		if (pids[i] < 0 || waitpid(pids[i], &status, 0) < 0 || status) {
			printf("# seed %lu: ended with status %#x\n", (unsigned long)jobs[i].seed,
			       status);
			jobs[i].stats.failures++;
		}
		stats_add(ret, &jobs[i].stats);
	}
	if (ok)
		munmap(jobs, JOBS_MAX * sizeof(*jobs));
	return ok && ret->failures == 0;
}

static double converged_within(const struct stats *s, unsigned percent)
{
	uint64_t sum = 0;
	unsigned i = 0;

	while (i < ARRAY_SIZE(s->converge_hist) - 1 &&
	       (sum += s->converge_hist[i]) * 100 < s->converged * percent)
		i++;
	return (i + 1) * 0.25;
}

static void print_stats(const struct stats *s)
{
	printf("# %lu schedules, %lu events, %.0f s of virtual time, %lu gates opened\n",
	       (unsigned long)s->schedules, (unsigned long)s->events, (double)s->virtual_us / 1e6,
	       (unsigned long)s->openings);
	printf("# loops by tunnels: %lu; foreign paths between joined segments: %lu cut at once, "
	       "%lu later; the longest loop %.3f s\n",
	       (unsigned long)s->loops, (unsigned long)s->foreign_at_once,
	       (unsigned long)s->foreign_later, (double)s->foreign_worst_us / 1e6);
	printf("# spanned, from 5 s after the last new fault: half within %.2f s, "
	       "99%% within %.2f s, worst %.2f s (seed %lu)\n",
	       converged_within(s, 50), converged_within(s, 99), (double)s->converge_worst_us / 1e6,
	       (unsigned long)s->converge_worst_seed);
	if (s->overlays)
		printf("# %lu times not judged: two sets of nodes that no live tunnel joins, "
		       "and two foreign paths do\n",
		       (unsigned long)s->overlays);
	printf("# %lu messages, %lu bytes\n", (unsigned long)s->messages, (unsigned long)s->bytes);
}

static bool replay(const struct options *o)
{
	struct stats s;

	random_run(o->seed, o->verbose, false, &s);
	print_stats(&s);
	return s.failures == 0;
}

static bool one_directed(const struct options *o)
{
	bool looped, ok = true, found = false;

	for (unsigned i = 0; i < directed_count; i++) {
		if (strcmp(directed_all[i].name, o->directed) && strcmp(o->directed, "all"))
			continue;
		found = true;
		bool one = directed_run(&directed_all[i], o->verbose, false, &looped);
		printf("# %s: %s\n", directed_all[i].name, one ? "ok" : "failed");
		ok &= one;
	}
	return ok && found;
}

static bool run_all(const struct options *o)
{
	struct stats sum = { 0 };
	bool looped, ok, all = true;
	unsigned test = 0;

	printf("1..%u\n", directed_count + 1);
	for (unsigned i = 0; i < directed_count; i++) {
		ok = directed_run(&directed_all[i], false, false, &looped);
		printf("%sok %u - %s\n", ok ? "" : "not ", ++test, directed_all[i].name);
		all &= ok;
	}
	ok = run_jobs(o, &sum);
	print_stats(&sum);
	printf("%sok %u - random schedules\n", ok ? "" : "not ", ++test);
	return all && ok;
}

static int usage(void)
{
	fputs("usage: sim [--seeds N] [--from S] [--jobs J] | --seed S [-v] |\n"
	      "           --directed NAME|all [-v] | --cost N\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seeds", required_argument, NULL, 'n' },
		{ "from", required_argument, NULL, 'f' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "seed", required_argument, NULL, 's' },
		{ "cost", required_argument, NULL, 'c' },
		{ "directed", required_argument, NULL, 'd' },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 },
	};
	const char *env = getenv("SIM_SEEDS");
	struct options o = { .seeds = env && *env ? strtoull(env, NULL, 10) : SEEDS,
			     .from = 1,
			     .jobs = 2 };
	bool one = false;
	int c;

	while ((c = getopt_long(argc, argv, "v", longs, NULL)) != -1) {
		uint64_t value = optarg ? strtoull(optarg, NULL, 0) : 0;
		switch (c) {
		case 'n':
			o.seeds = value;
			break;
		case 'f':
			o.from = value;
			break;
		case 'j':
			o.jobs = (unsigned)MIN(MAX(value, 1), JOBS_MAX);
			break;
		case 's':
			o.seed = value;
			one = true;
			break;
		case 'c':
			o.cost = (unsigned)value;
			break;
		case 'd':
			o.directed = optarg;
			break;
		case 'v':
			o.verbose = true;
			break;
		default:
			return usage();
		}
	}
	if (optind != argc || (o.cost && (o.cost < 3 || o.cost > SIM_NODES)))
		return usage();
	if (o.cost) {
		cost_print(o.cost);
		return 0;
	}
	if (o.directed)
		return !one_directed(&o);
	return one ? !replay(&o) : !run_all(&o);
}
