/* Numbers for people: three significant figures and a unit, as ls -h and ping write them. */
#include "bridgectl/out.h"

static const char *scaled(double v, double step, const char *const units[], unsigned n, char *buf)
{
	unsigned i = 0;

	while (v >= step && i + 1 < n) {
		v /= step;
		i++;
	}
	snprintf(buf, UNIT_LEN,
		 i && v < 10  ? "%.2f%s" :
		 i && v < 100 ? "%.1f%s" :
				"%.0f%s",
		 v, units[i]);
	return buf;
}

const char *unit_bytes(double v, char *buf)
{
	static const char *const units[] = { " B", " KiB", " MiB", " GiB", " TiB", " PiB" };

	return scaled(v, 1024, units, ARRAY_SIZE(units), buf);
}

const char *unit_count(double v, char *buf)
{
	static const char *const units[] = { "", "k", "M", "G", "T" };

	return scaled(v, 1000, units, ARRAY_SIZE(units), buf);
}

const char *unit_duration_s(double s, char *buf)
{
	uint64_t t = s < 0 ? 0 : s > 1e15 ? (uint64_t)1e15 : (uint64_t)s;

	if (t < 60)
		snprintf(buf, UNIT_LEN, "%u s", (unsigned)t);
	else if (t < 3600)
		snprintf(buf, UNIT_LEN, "%u min", (unsigned)(t / 60));
	else if (t < 86400)
		snprintf(buf, UNIT_LEN, "%u h %u min", (unsigned)(t / 3600),
			 (unsigned)(t / 60 % 60));
	else
		snprintf(buf, UNIT_LEN, "%llu d %u h", (unsigned long long)(t / 86400),
			 (unsigned)(t / 3600 % 24));
	return buf;
}

const char *unit_rtt_us(double us, char *buf)
{
	if (us < 10000)
		snprintf(buf, UNIT_LEN, "%.2f ms", us / 1000);
	else
		snprintf(buf, UNIT_LEN, "%.0f ms", us / 1000);
	return buf;
}

const char *unit_percent(double fraction, char *buf)
{
	double p = fraction * 100;

	snprintf(buf, UNIT_LEN, p > 0 && p < 10 ? "%.1f %%" : "%.0f %%", p);
	return buf;
}
