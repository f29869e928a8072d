/* What is seen of a copy and what came of it, as JSON documents (doc/disks.md). */
#include "bridgectl/transfer/conductor.h"
#include "bridgectl/transfer/predict.h"
#include "common/jsonline.h"
#include "common/util.h"

const char *conduct_phase_name(enum conduct_phase p)
{
	static const char *const names[] = {
		[PHASE_START] = "start",   [PHASE_OPEN] = "open",     [PHASE_CONNECT] = "connect",
		[PHASE_PASS] = "pass",	   [PHASE_SETTLE] = "settle", [PHASE_WAIT] = "wait",
		[PHASE_SHA256] = "sha256", [PHASE_DONE] = "done",
	};

	return (unsigned)p < ARRAY_SIZE(names) ? names[p] : "?";
}

static void set_uint(json_t *j, const char *key, uint64_t v)
{
	json_object_set_new(j, key, json_integer((json_int_t)v));
}

/* Not there at all when it is not known. */
static void set_known(json_t *j, const char *key, double v)
{
	if (v >= 0 && v < PREDICT_UNKNOWN)
		json_object_set_new(j, key, json_real(v));
}

/* What relative paths begin with. */
static void set_folder(json_t *j)
{
	_cleanup_free_ char *folder = getcwd(NULL, 0);

	json_object_set_new(j, "folder", jsonline_text(folder ?: ""));
}

json_t *conduct_state_json(const struct conduct_state *st)
{
	json_t *j = json_pack("{ss so so ss}", "id", st->id, "source", jsonline_text(st->source),
			      "target", jsonline_text(st->target), "phase",
			      conduct_phase_name(st->phase));

	if (!j)
		return NULL;
	json_object_set_new(j, "from", jsonline_text(st->from ?: ""));
	json_object_set_new(j, "to", jsonline_text(st->to ?: ""));
	set_uint(j, "source_partition", st->source_partition);
	set_uint(j, "partition", st->partition);
	set_folder(j);
	json_object_set_new(j, "kind", json_string(st->kind ?: ""));
	set_uint(j, "pass", st->pass);
	json_object_set_new(j, "warm", json_boolean(st->warm));
	json_object_set_new(j, "final", json_boolean(st->final));
	json_object_set_new(j, "tracking", json_boolean(st->tracking));
	json_object_set_new(j, "lost", json_boolean(st->lost));
	set_uint(j, "bytes", st->bytes);
	set_uint(j, "covered_bytes", st->covered);
	set_uint(j, "total_bytes", st->total);
	set_uint(j, "read_bytes", st->read);
	set_uint(j, "sent_bytes", st->sent);
	set_uint(j, "wire_bytes", st->wire);
	set_uint(j, "zero_bytes", st->zero);
	set_uint(j, "same_bytes", st->same);
	set_uint(j, "dirty_bytes", st->dirty);
	set_uint(j, "verified_bytes", st->verified);
	set_uint(j, "limit_bytes_per_s", st->limit);
	set_known(j, "bytes_per_s", st->rate);
	set_known(j, "sent_bytes_per_s", st->sent_rate);
	set_known(j, "dirty_bytes_per_s", st->dirty_rate);
	set_known(j, "eta_s", st->eta_s);
	set_known(j, "downtime_s", st->warm ? st->downtime_s : -1);
	set_known(j, "seconds", st->seconds);
	return j;
}

static const char *outcome_name(enum conduct_outcome o)
{
	static const char *const names[] = {
		[CONDUCTED] = "done",	       [CONDUCT_DIFFERS] = "differs",
		[CONDUCT_FAILED] = "failed",   [CONDUCT_UNREACHABLE] = "unreachable",
		[CONDUCT_STOPPED] = "stopped",
	};

	return (unsigned)o < ARRAY_SIZE(names) ? names[o] : "?";
}

json_t *conduct_result_json(const struct conduct_result *r)
{
	json_t *j = json_pack("{ss sb}", "outcome", outcome_name(r->outcome), "resumable",
			      r->resumable),
	       *places = json_array();

	if (r->code[0]) {
		json_object_set_new(j, "code", json_string(r->code));
		json_object_set_new(j, "message", jsonline_text(r->message));
	}
	set_uint(j, "bytes", r->bytes);
	set_uint(j, "sent_bytes", r->sent);
	set_uint(j, "wire_bytes", r->wire);
	set_uint(j, "zero_bytes", r->zero);
	set_uint(j, "same_bytes", r->same);
	set_uint(j, "verified_bytes", r->verified);
	set_uint(j, "passes", r->passes);
	set_known(j, "seconds", r->seconds);
	set_known(j, "downtime_s", r->downtime_s);
	set_uint(j, "final_read_bytes", r->final_read);
	set_uint(j, "final_sent_bytes", r->final_sent);
	if (r->outcome == CONDUCT_STOPPED || r->outcome == CONDUCT_FAILED)
		set_known(j, "part_done", r->done);
	if (r->sha256[0])
		json_object_set_new(j, "sha256", json_string(r->sha256));
	set_uint(j, "mismatched_bytes", r->mismatched_bytes);
	for (unsigned i = 0; i < r->n_places; i++)
		json_array_append_new(places, json_integer((json_int_t)r->places[i]));
	json_object_set_new(j, "mismatches", places);
	return j;
}
