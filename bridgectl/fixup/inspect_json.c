/*
 * An inspection as JSON: out of the child that made it, and with --json for whoever wants it. What
 * comes in is bounded in everything, and what is no such object becomes NULL, never half a record.
 */
#include <stddef.h>
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/inspect_private.h"
#include "common/jsonline.h"

static const char *const tristates[] = { [NO] = "no", [YES] = "yes", [NOT_KNOWN] = "unknown" };
static const char *const family_names[] = { [FAMILY_UNKNOWN] = "unknown",
					    [FAMILY_DEBIAN] = "debian",
					    [FAMILY_REDHAT] = "redhat",
					    [FAMILY_SUSE] = "suse" };
static const char *const init_names[] = { [INIT_UNKNOWN] = "unknown",
					  [INIT_SYSV] = "sysv",
					  [INIT_UPSTART] = "upstart",
					  [INIT_SYSTEMD] = "systemd",
					  [INIT_OPENRC] = "openrc" };
static const char *const boot_names[] = { [BOOT_NO_CONFIG] = "none",
					  [BOOT_GRUB2] = "grub2",
					  [BOOT_GRUB_LEGACY] = "grub-legacy",
					  [BOOT_EXTLINUX] = "extlinux",
					  [BOOT_BLS] = "bls" };

#define NAME_OF(table, i) ((size_t)(i) < ARRAY_SIZE(table) ? (table)[i] : "?")

const char *tristate_name(enum tristate t)
{
	return NAME_OF(tristates, t);
}

const char *family_name(enum distro_family f)
{
	return NAME_OF(family_names, f);
}

const char *init_name(enum init_system i)
{
	return NAME_OF(init_names, i);
}

const char *boot_name(enum boot_config b)
{
	return NAME_OF(boot_names, b);
}

/* --- What is in a record: the same rows write and read it. --- */

enum kind { TEXT, FLAG, ENUM };

struct field {
	const char *key;
	enum kind kind;
	size_t at;
	const char *const *names; /* of ENUM */
	unsigned n_names;
};

#define ENUM_ROW(key, at, names)                        \
	{                                               \
		key, ENUM, at, names, ARRAY_SIZE(names) \
	}
#define ROW(key, kind, at)             \
	{                              \
		key, kind, at, NULL, 0 \
	}
#define IN(f) offsetof(struct inspection, f)
#define KERNEL(f) offsetof(struct guest_kernel, f)
#define DRIVER(f) ENUM_ROW(#f, offsetof(struct drivers, f), tristates)

static const struct field guest_fields[] = {
	ENUM_ROW("family", IN(family), family_names),
	ROW("id", TEXT, IN(id)),
	ROW("version", TEXT, IN(version)),
	ROW("pretty", TEXT, IN(pretty)),
	ROW("hostname", TEXT, IN(hostname)),
	ENUM_ROW("init", IN(init), init_names),
	ENUM_ROW("boot", IN(boot), boot_names),
	ROW("boot_path", TEXT, IN(boot_path)),
	ROW("selinux", FLAG, IN(selinux)),
	ROW("udev", FLAG, IN(udev)),
	ROW("acpid", FLAG, IN(acpid)),
	ROW("lvm", FLAG, IN(lvm)),
	ROW("merged_usr", FLAG, IN(merged_usr)),
	ROW("renames_nics", FLAG, IN(renames_nics)),
	ROW("renames_once", FLAG, IN(renames_once)),
	ROW("nic_tool", TEXT, IN(nic_tool)),
};

static const struct field kernel_fields[] = {
	ROW("version", TEXT, KERNEL(version)),	  ROW("path", TEXT, KERNEL(path)),
	ROW("initrd", TEXT, KERNEL(initrd)),	  ROW("initrd_why", TEXT, KERNEL(initrd_why)),
	ROW("arch", TEXT, KERNEL(arch)),	  ROW("cmdline", TEXT, KERNEL(cmdline)),
	ROW("default", FLAG, KERNEL(is_default)), ROW("rescue", FLAG, KERNEL(rescue)),
	ROW("xen_only", FLAG, KERNEL(xen_only)),  ROW("has_modules", FLAG, KERNEL(has_modules)),
};

static const struct field driver_fields[] = {
	DRIVER(virtio_blk), DRIVER(virtio_scsi),    DRIVER(virtio_pci),
	DRIVER(virtio_net), DRIVER(virtio_console), DRIVER(ahci),
	DRIVER(ata_piix),   DRIVER(sd_mod),	    DRIVER(xen_blkfront),
};

/* Lists of names. */
static const struct {
	const char *key;
	size_t at, n_at;
} lists[] = {
	{ "nics", IN(nics), IN(n_nics) },
	{ "consoles", IN(consoles), IN(n_consoles) },
	{ "notes", IN(notes), IN(n_notes) },
};

/* --- Out --- */

static json_t *field_json(const struct field *f, const void *record)
{
	const char *at = (const char *)record + f->at;

	if (f->kind == FLAG)
		return json_boolean(*(const bool *)at);
	if (f->kind == ENUM)
		return json_string(f->names[*(const unsigned *)at % f->n_names]);
	return *(char *const *)at ? jsonline_text(*(char *const *)at) : json_null();
}

static json_t *fields_json(const struct field *fields, size_t n, const void *record)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(o, fields[i].key, field_json(&fields[i], record));
	return o;
}

json_t *inspection_json(const struct inspection *in)
{
	json_t *o = fields_json(guest_fields, ARRAY_SIZE(guest_fields), in);
	json_t *kernels = json_array();

	for (unsigned i = 0; i < in->n_kernels; i++) {
		const struct guest_kernel *k = &in->kernels[i];
		json_t *one = fields_json(kernel_fields, ARRAY_SIZE(kernel_fields), k);

		json_object_set_new(
			one, "drivers",
			fields_json(driver_fields, ARRAY_SIZE(driver_fields), &k->drivers));
		json_array_append_new(kernels, one);
	}
	json_object_set_new(o, "kernels", kernels);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		char *const *names = *(char **const *)((const char *)in + lists[i].at);
		json_t *list = json_array();

		for (unsigned k = 0; k < *(const unsigned *)((const char *)in + lists[i].n_at); k++)
			json_array_append_new(list, jsonline_text(names[k]));
		json_object_set_new(o, lists[i].key, list);
	}
	return o;
}

/* --- In --- */

static bool good_text(const json_t *v)
{
	return json_is_string(v) && json_string_length(v) <= INSPECT_TEXT_MAX &&
	       strlen(json_string_value(v)) == json_string_length(v);
}

static bool read_field(const struct field *f, const json_t *v, void *record)
{
	char *at = (char *)record + f->at;

	if (f->kind == FLAG) {
		*(bool *)at = json_is_true(v);
		return json_is_boolean(v);
	}
	if (f->kind == TEXT) {
		if (good_text(v))
			*(char **)at = mem_strdup(json_string_value(v));
		return good_text(v) || json_is_null(v);
	}
	for (unsigned i = 0; i < f->n_names; i++)
		if (json_is_string(v) && strcmp(json_string_value(v), f->names[i]) == 0) {
			*(unsigned *)at = i;
			return true;
		}
	return false;
}

static bool read_fields(const struct field *fields, size_t n, const json_t *o, void *record)
{
	for (size_t i = 0; i < n; i++)
		if (!read_field(&fields[i], json_object_get(o, fields[i].key), record))
			return false;
	return true;
}

static bool read_kernels(struct inspection *in, const json_t *list)
{
	if (!json_is_array(list) || json_array_size(list) > INSPECT_KERNELS_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);
		struct guest_kernel *k = &in->kernels[in->n_kernels++];

		if (!read_fields(kernel_fields, ARRAY_SIZE(kernel_fields), o, k) ||
		    !read_fields(driver_fields, ARRAY_SIZE(driver_fields),
				 json_object_get(o, "drivers"), &k->drivers))
			return false;
		if (!k->version || !k->path)
			return false;
	}
	return true;
}

static bool read_list(struct inspection *in, size_t i, const json_t *list)
{
	char ***names = (char ***)((char *)in + lists[i].at);
	unsigned *n = (unsigned *)((char *)in + lists[i].n_at);

	if (!json_is_array(list) || json_array_size(list) > INSPECT_NAMES_MAX)
		return false;
	for (size_t k = 0; k < json_array_size(list); k++) {
		const json_t *v = json_array_get(list, k);

		if (!good_text(v))
			return false;
		inspect_add(names, n, json_string_value(v), json_string_length(v));
	}
	return true;
}

struct inspection *inspection_from_json(const json_t *j)
{
	struct inspection *in = mem_new(sizeof(*in));
	bool good = read_fields(guest_fields, ARRAY_SIZE(guest_fields), j, in) &&
		    read_kernels(in, json_object_get(j, "kernels"));

	for (size_t i = 0; good && i < ARRAY_SIZE(lists); i++)
		good = read_list(in, i, json_object_get(j, lists[i].key));
	if (good)
		return in;
	inspection_free(in);
	return NULL;
}
