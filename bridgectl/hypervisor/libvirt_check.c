/*
 * The libvirt back-end: questions about a definition, before anything of it is made.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_caps.h"
#include "bridgectl/hypervisor/libvirt_private.h"

static bool last_is_missing(void)
{
	const virError *e = virGetLastError();

	return e && e->code == VIR_ERR_NO_SUPPORT;
}

/*
 * The driver says no. Its capabilities say what there is, in words better than the driver's. NULL:
 * was left to it.
 */
static int say_what_there_is(struct lv *lv, const char *type, const char *arch, const char *machine,
			     char *err)
{
	_cleanup_free_ char *driver = mem_strdup(virGetLastErrorMessage());
	_cleanup_free_ char *text = virConnectGetCapabilities(lv->conn);
	struct xml_caps caps;
	int r = -EOPNOTSUPP;

	if (!text || !xml_caps_read(text, arch, machine, &caps))
		return hyper_fail(err, -EOPNOTSUPP,
				  "libvirt has no guests of architecture %.40s; is "
				  "its QEMU installed there (qemu-system-…)?",
				  arch ? arch : "of the host");
	if (type && !strstr(caps.types, type))
		hyper_fail(
			err, r,
			"libvirt has no guests of type %.20s there, but %.100s; without hardware "
			"virtualization (/dev/kvm) convert with --type qemu",
			type, caps.types);
	else if (machine && !caps.has)
		hyper_fail(err, r,
			   "machine type %.60s is not supported by the QEMU there; it has %.400s",
			   machine, caps.machines);
	else
		hyper_fail(err, r, "%.20s guests of %.40s %.60s are not supported there: %.400s",
			   type ? type : "", arch ? arch : "the host's architecture",
			   machine ? machine : "", driver);
	xml_caps_fini(&caps);
	return r;
}

int libvirt_check_machine(struct hyper *h, const char *type, const char *arch, const char *machine,
			  char *err)
{
	struct lv *lv = lv_of(h);
	char *caps = virConnectGetDomainCapabilities(lv->conn, NULL, arch, machine, type, 0);

	if (!caps)
		return last_is_missing() ? -ENOSYS :
					   say_what_there_is(lv, type, arch, machine, err);
	free(caps);
	return 0;
}

int libvirt_check_native(struct hyper *h, const char *xml, char *err)
{
	struct lv *lv = lv_of(h);
	char *command = virConnectDomainXMLToNative(lv->conn, "qemu-argv", xml, 0);

	if (!command)
		return last_is_missing() ? -ENOSYS : lv_fail("the definition", "be started", err);
	free(command);
	return 0;
}
