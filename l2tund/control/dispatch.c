/*
 * Requests of the control protocol: reading, checking, running, answering.
 *
 * Everything a client sends is checked before a method sees it: the shape of the request, who
 * asks, and the type of each parameter against the pattern of the method's row. A
 * request is answered exactly once, and a wrong one never ends the connection.
 */
#include "l2tund/control/dispatch.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/jsonline.h"

#define ID_BYTES_MAX 64 /* of an id that is a string */
#define PARAM_NAME_MAX 32

struct param {
	char name[PARAM_NAME_MAX];
	char type;
	bool optional;
};

static void error_set(struct ctl_error *err, const char *code, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

static void error_set(struct ctl_error *err, const char *code, const char *fmt, va_list ap)
{
	json_decref(err->details);
	err->details = NULL;
	err->code = code;
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
}

json_t *ctl_fail(struct ctl_error *err, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_set(err, code, fmt, ap);
	va_end(ap);
	return NULL;
}

json_t *ctl_fail_details(struct ctl_error *err, json_t *details, const char *code, const char *fmt,
			 ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_set(err, code, fmt, ap);
	va_end(ap);
	err->details = details;
	return NULL;
}

/* A message may quote the client's bytes, cut at any place: never let one break the reply. */
static json_t *text_new(const char *s)
{
	json_t *text = json_string(s);
	char buf[sizeof(((struct ctl_error *)NULL)->message)];
	size_t i;

	if (text)
		return text;
	for (i = 0; s[i] && i < sizeof(buf) - 1; i++)
		buf[i] = (unsigned char)s[i] < 0x80 ? s[i] : '?';
	buf[i] = '\0';
	return json_string(buf);
}

json_t *dispatch_error(const json_t *id, struct ctl_error *err)
{
	json_t *details = steal(err->details);
	json_t *e;

	e = json_pack("{s:s, s:o*}", "code", err->code ? err->code : "failed", "message",
		      text_new(err->message[0] ? err->message : "no reason given"));
	if (e && details)
		json_object_set_new(e, "details", details);
	else
		json_decref(details);
	return json_pack("{s:O?, s:o}", "id", id, "error", e);
}

/* Cuts the next "name:t?" off the pattern. False at its end. */
static bool param_next(const char **pattern, struct param *ret)
{
	const char *p = *pattern;
	size_t n;

	while (*p == ' ')
		p++;
	if (!*p)
		return false;
	n = strcspn(p, ":");
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)n, p);
	p += n;
	ret->type = *p == ':' ? *++p : '\0';
	if (ret->type)
		p++;
	ret->optional = *p == '?';
	if (ret->optional)
		p++;
	*pattern = p;
	return true;
}

static bool is_string_array(const json_t *v)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(v))
		return false;
	json_array_foreach(v, i, item)
		if (!json_is_string(item))
			return false;
	return true;
}

/* What the value should have been, or NULL when it is. */
static const char *type_wanted(char type, const json_t *v)
{
	switch (type) {
	case 's':
		return json_is_string(v) ? NULL : "a string";
	case 'i':
		return json_is_integer(v) ? NULL : "an integer";
	case 'b':
		return json_is_boolean(v) ? NULL : "true or false";
	case 'a':
		return is_string_array(v) ? NULL : "an array of strings";
	}
	return "of a type that the daemon knows";
}

static int param_check(const struct ctl_method *m, const struct param *p, const json_t *params,
		       struct ctl_error *err)
{
	const json_t *v = json_object_get(params, p->name);
	const char *wanted;

	if (!v && p->optional)
		return 0;
	if (!v) {
		ctl_fail(err, "bad-params", "%s: parameter \"%s\" is missing", m->name, p->name);
		return -EINVAL;
	}
	wanted = type_wanted(p->type, v);
	if (!wanted)
		return 0;
	ctl_fail(err, "bad-params", "%s: parameter \"%s\" must be %s", m->name, p->name, wanted);
	return -EINVAL;
}

static bool pattern_has(const char *pattern, const char *key)
{
	struct param p;

	while (param_next(&pattern, &p))
		if (!strcmp(p.name, key))
			return true;
	return false;
}

int dispatch_check_params(const struct ctl_method *m, const json_t *params, struct ctl_error *err)
{
	const char *pattern = m->params;
	struct param p;
	const char *key;
	json_t *v;
	int r;

	json_object_foreach((json_t *)params, key, v) {
		if (pattern_has(m->params, key))
			continue;
		ctl_fail(err, "bad-params", "%s: unknown parameter \"%.40s\"; it takes: %s",
			 m->name, key, m->params[0] ? m->params : "none");
		return -EINVAL;
	}
	while (param_next(&pattern, &p)) {
		r = param_check(m, &p, params, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static const struct ctl_method *row_find(const struct ctl_method *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

/* Finds the row, asks whether the client may, checks the parameters, runs it. */
static json_t *method_run(const struct dispatch *d, void *client, bool admin, const char *name,
			  const json_t *params, struct ctl_error *err)
{
	const struct ctl_method *m = row_find(d->builtin, d->n_builtin, name);
	void *ctx = client;

	if (!m) {
		m = row_find(d->rows, d->n_rows, name);
		ctx = d->ctx;
	}
	if (!m)
		return ctl_fail(err, "no-method", "there is no method \"%.60s\"", name);
	if (m->admin && !admin)
		return ctl_fail(err, "not-permitted",
				"%s: only root and the daemon's own user may do this", m->name);
	if (dispatch_check_params(m, params, err) < 0)
		return NULL;
	if (m->admin && d->admin_call)
		d->admin_call(client, m->name, json_string_value(json_object_get(params, "name")));
	return m->fn(ctx, params, err);
}

/* The id to repeat, borrowed; NULL when it is missing or none that we repeat. */
static const json_t *request_id(const json_t *req)
{
	const json_t *id = json_object_get(req, "id");

	if (json_is_integer(id))
		return id;
	if (json_is_string(id) && json_string_length(id) <= ID_BYTES_MAX)
		return id;
	return NULL;
}

static int request_check(const json_t *req, struct ctl_error *err)
{
	const json_t *id = json_object_get(req, "id");
	const json_t *params = json_object_get(req, "params");
	const char *key;
	json_t *v;

	if (id && !json_is_null(id) && !request_id(req))
		ctl_fail(err, "bad-request",
			 "\"id\" must be an integer or a string of at most %d bytes", ID_BYTES_MAX);
	else if (!json_is_string(json_object_get(req, "method")))
		ctl_fail(err, "bad-request", "\"method\" is missing or not a string");
	else if (params && !json_is_object(params))
		ctl_fail(err, "bad-request", "\"params\" must be an object");
	json_object_foreach((json_t *)req, key, v)
		if (strcmp(key, "id") && strcmp(key, "method") && strcmp(key, "params"))
			ctl_fail(err, "bad-request", "unknown key \"%.40s\" in the request", key);
	return err->code ? -EINVAL : 0;
}

static json_t *request_run(const struct dispatch *d, void *client, bool admin, const json_t *req,
			   struct ctl_error *err)
{
	const json_t *params = json_object_get(req, "params");
	json_t *none = NULL, *result;

	if (request_check(req, err) < 0)
		return NULL;
	if (!params)
		params = none = json_object();
	if (!params)
		return ctl_fail(err, "failed", "the daemon is out of memory");
	result = method_run(d, client, admin, json_string_value(json_object_get(req, "method")),
			    params, err);
	json_decref(none);
	return result;
}

static bool is_blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
			return false;
	return true;
}

json_t *dispatch_line(const struct dispatch *d, void *client, bool admin, const char *line,
		      size_t len)
{
	struct ctl_error err = { 0 };
	json_t *req, *result = NULL, *reply;
	char why[JSONLINE_ERRLEN];

	if (is_blank(line, len))
		return NULL;
	req = jsonline_parse(line, len, why);
	if (req)
		result = request_run(d, client, admin, req, &err);
	else
		ctl_fail(&err, "bad-request", "%s", why);
	if (result) {
		json_decref(err.details);
		reply = json_pack("{s:O?, s:o}", "id", request_id(req), "result", result);
	} else {
		reply = dispatch_error(req ? request_id(req) : NULL, &err);
	}
	json_decref(req);
	return reply;
}

static int list_add(json_t *list, const struct ctl_method *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		json_t *row = json_pack("{s:s, s:b, s:s}", "name", rows[i].name, "admin",
					rows[i].admin, "params", rows[i].params);

		if (json_array_append_new(list, row) < 0)
			return -ENOMEM;
	}
	return 0;
}

json_t *dispatch_list(const struct dispatch *d)
{
	json_t *list = json_array();

	if (!list || list_add(list, d->builtin, d->n_builtin) < 0 ||
	    list_add(list, d->rows, d->n_rows) < 0) {
		json_decref(list);
		return NULL;
	}
	return json_pack("{s:o}", "methods", list);
}
