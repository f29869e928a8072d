/* In place of libvirt*.c where bridgectl is built without libvirt: every door says so. */
#include <errno.h>

#include "bridgectl/hypervisor/libvirt.h"

const char *libvirt_default_uri(void)
{
	return "qemu:///system";
}

const char *libvirt_uri(const struct hyper *h)
{
	(void)h;
	return "";
}

bool libvirt_is_here(const struct hyper *h)
{
	(void)h;
	return false;
}

int libvirt_check_machine(struct hyper *h, const char *type, const char *arch, const char *machine,
			  char *err)
{
	(void)h, (void)type, (void)arch, (void)machine, (void)err;
	return -ENOSYS;
}

int libvirt_check_native(struct hyper *h, const char *xml, char *err)
{
	(void)h, (void)xml, (void)err;
	return -ENOSYS;
}

int libvirt_dump_whole(struct hyper *h, const char *domain, char **ret, char *err)
{
	(void)h, (void)domain, (void)ret, (void)err;
	return -ENOSYS;
}
