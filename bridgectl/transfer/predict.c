/*
 * Rates as exponential means and the downtime that follows from them.
 *
 * Means are weighed by time, not by samples: a long pass says more than a short one, and what was
 * measured an hour ago, before somebody changed the rate limit, fades. The first sample counts in
 * full, since `weight` starts at 0 and the value is divided by it.
 */
#include "bridgectl/transfer/predict.h"

#include <math.h>

#include "common/util.h"

#define TAU_COPY_S 20.0
#define TAU_WRITE_S 60.0 /* guests write in bursts */
#define TAU_FIXED_PASSES 3.0
#define SHORTER 0.9

void predict_mean_add(struct predict_mean *m, double amount, double seconds, double tau_s)
{
	double keep = exp(-seconds / tau_s), weight = m->weight * keep + (1 - keep);

	if (weight <= 0)
		return;
	m->value = (m->value * m->weight * keep + amount / seconds * (1 - keep)) / weight;
	m->weight = weight;
}

void predict_init(struct predict *p)
{
	*p = (struct predict){ .least_s = PREDICT_UNKNOWN };
}

static void add_rate(struct predict_mean *m, uint64_t bytes, uint64_t us, double tau_s)
{
	if (us >= US_PER_MS)
		predict_mean_add(m, (double)bytes, (double)us / US_PER_S, tau_s);
}

void predict_copied(struct predict *p, uint64_t bytes, uint64_t us)
{
	add_rate(&p->copy, bytes, us, TAU_COPY_S);
}

void predict_scanned(struct predict *p, uint64_t bytes, uint64_t us)
{
	add_rate(&p->scan, bytes, us, TAU_COPY_S);
}

void predict_written(struct predict *p, uint64_t bytes, uint64_t us)
{
	add_rate(&p->write, bytes, us, TAU_WRITE_S);
}

void predict_settled(struct predict *p, uint64_t us)
{
	predict_mean_add(&p->fixed, (double)us / US_PER_S, 1, TAU_FIXED_PASSES);
}

double predict_eta_s(uint64_t left, double bytes_per_s)
{
	if (!left)
		return 0;
	return bytes_per_s > 0 ? MIN((double)left / bytes_per_s, PREDICT_UNKNOWN) : PREDICT_UNKNOWN;
}

double predict_downtime_s(const struct predict *p, uint64_t dirty, uint64_t scan)
{
	double scan_rate = p->scan.weight > 0 ? p->scan.value : p->copy.value;
	double fixed = p->fixed.weight > 0 ? p->fixed.value : PREDICT_FIXED_S;

	return MIN(fixed + predict_eta_s(dirty, p->copy.value) + predict_eta_s(scan, scan_rate),
		   PREDICT_UNKNOWN);
}

bool predict_shrinks(struct predict *p, double downtime_s)
{
	if (downtime_s < p->least_s * SHORTER) {
		p->least_s = downtime_s;
		p->stuck = 0;
	} else {
		p->stuck++;
	}
	return p->stuck < PREDICT_PASSES_STUCK;
}
