/* Disk and interface strings: each form that xl or xm took, and what is wrong with the others. */
#include "bridgectl/domain/diskspec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bridgectl/domain/vifspec.h"
#include "common/util.h"

/* "kind format path|resource vdev mode [extras]" */
static void describe(const struct diskspec *d, char *buf, size_t size)
{
	snprintf(buf, size, "%s %s %s %s %s%s%s%s%s%s%s%s%s%s%s%s", disk_kind_name(d->kind),
		 d->format,
		 d->path     ? d->path :
		 d->resource ? d->resource :
			       "-",
		 d->vdev, d->readonly ? "r" : "w", d->shared ? "!" : "", d->cdrom ? " cdrom" : "",
		 d->emulated ? " ioemu" : "", d->relative ? " relative" : "",
		 d->prefix ? " prefix=" : "", d->prefix ? d->prefix : "",
		 d->backend ? " backend=" : "", d->backend ? d->backend : "",
		 d->script ? " script=" : "", d->script ? d->script : "",
		 d->discard ? d->discard : "");
}

static void forms(void **state)
{
	static const char *const rows[][2] = {
		/* xl-disk-configuration(5) */
		{ "/dev/vg/guest-volume,,hda", "path raw /dev/vg/guest-volume hda w" },
		{ "/dev/vg/guest-volume,raw,hda,rw", "path raw /dev/vg/guest-volume hda w" },
		{ "format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume",
		  "path raw /dev/vg/guest-volume hda w" },
		{ "raw:/dev/vg/guest-volume,hda,w",
		  "device raw /dev/vg/guest-volume hda w prefix=raw" },
		{ "/root/image.iso,,hdc,cdrom", "path raw /root/image.iso hdc r cdrom" },
		{ "/root/image.iso,,hdc,,cdrom", "path raw /root/image.iso hdc r cdrom" },
		{ "/root/image.iso,raw,hdc,devtype=cdrom", "path raw /root/image.iso hdc r cdrom" },
		{ "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso",
		  "path raw /root/image.iso hdc r cdrom" },
		{ "raw:/root/image.iso,hdc:cdrom,ro",
		  "file raw /root/image.iso hdc r cdrom prefix=raw" },
		{ "vg/x,,xvda", "path raw /dev/vg/x xvda w" },
		{ "vdev=xvda,target=/a,b = c ", "path raw /a,b = c  xvda w" },
		{ ",raw,xvda,target=/x", "path raw /x xvda w" },
		{ "/x,vdev=xvda,qcow2,r", "path qcow2 /x xvda r" },
		{ "format=qcow2,/x,xvda,w", "path qcow2 /x xvda w" },
		{ "/x,raw,xvda,w,backend=storage,script=/etc/xen/scripts/block-drbd",
		  "drbd raw /x xvda w backend=storage script=/etc/xen/scripts/block-drbd" },
		{ "r0,raw,xvda,w,script=block-drbd",
		  "drbd raw /dev/drbd/by-res/r0 xvda w script=block-drbd" },
		{ "vdev=xvda,script=block-ceph,target=pool/image",
		  "script raw pool/image xvda w script=block-ceph" },
		{ "vdev=hdc,cdrom", "empty raw - hdc r cdrom" },
		{ ",empty,hdc,r,cdrom", "empty empty - hdc r cdrom" },
		{ ",hdc:cdrom,r", "empty raw - hdc r cdrom" },
		{ "/x,,xvda,w,discard,direct-io-safe", "path raw /x xvda wdiscard" },
		{ " /x , raw , xvda , r ", "path raw /x xvda r" },
		/* xm */
		{ "phy:/dev/vg/test-disk,xvda2,w",
		  "device raw /dev/vg/test-disk xvda2 w prefix=phy" },
		{ "phy:vg/test-disk,sda1,w!", "device raw /dev/vg/test-disk sda1 w! prefix=phy" },
		{ "phy:/dev/disk/by-path/pci-0000:00:1f.2,hda,r",
		  "device raw /dev/disk/by-path/pci-0000:00:1f.2 hda r prefix=phy" },
		{ "file:/x/root.img,sda1,w", "file raw /x/root.img sda1 w prefix=file" },
		{ "file:x/a=b.img,sda1,w", "file raw x/a=b.img sda1 w relative prefix=file" },
		{ "tap:aio:/x.img,xvda,w", "file raw /x.img xvda w prefix=tap:aio" },
		{ "tap:tapdisk:aio:/x.img,xvda,w",
		  "file raw /x.img xvda w prefix=tap:tapdisk:aio" },
		{ "tap2:vhd:/x.vhd,xvda,w", "file vhd /x.vhd xvda w prefix=tap2:vhd" },
		{ "tap:qcow:/x,xvda,w", "file qcow /x xvda w prefix=tap:qcow" },
		{ "tap:vmdk:/x,xvda,w", "file vmdk /x xvda w prefix=tap:vmdk" },
		{ "tap:aio:/dev/vg/x,xvda,w", "device raw /dev/vg/x xvda w prefix=tap:aio" },
		{ "phy:/dev/vg/x,ioemu:hda,w", "device raw /dev/vg/x hda w ioemu prefix=phy" },
		{ "phy:/dev/cdrom,ioemu:hdc:cdrom,r",
		  "device raw /dev/cdrom hdc r cdrom ioemu prefix=phy" },
		{ "drbd:test-disk,xvda1,w",
		  "drbd raw /dev/drbd/by-res/test-disk xvda1 w prefix=drbd script=block-drbd" },
		{ "iscsi:iqn.2001-04.org.example:disk,xvda,w",
		  "iscsi raw iqn.2001-04.org.example:disk xvda w prefix=iscsi script=block-iscsi" },
		{ "nbd:10.0.0.1:2000,xvda,w",
		  "nbd raw 10.0.0.1:2000 xvda w prefix=nbd script=block-nbd" },
		{ "phy:vg/x,xvda,w,storage",
		  "device raw /dev/vg/x xvda w prefix=phy backend=storage" },
		{ "phy:vg/x,xvda,w,,1234", "device raw /dev/vg/x xvda w prefix=phy backend=" },
		{ "phy:vg/x,xvda:disk,w", "device raw /dev/vg/x xvda w prefix=phy" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		char err[DISKSPEC_ERRLEN], got[400];
		struct diskspec d;
		unsigned offset;

		if (diskspec_parse(rows[i][0], &d, err, &offset) != 0)
			fail_msg("%s: %s", rows[i][0], err);
		describe(&d, got, sizeof(got));
		if (strcmp(got, rows[i][1]) != 0)
			fail_msg("%s:\n%s\n%s", rows[i][0], got, rows[i][1]);
		diskspec_fini(&d);
	}
}

static void wrong_disks(void **state)
{
	static const struct {
		const char *spec, *told;
		unsigned offset;
	} rows[] = {
		{ "", "no device name", 0 },
		{ "phy:vg/x", "write 'phy:vg/x,xvda1,w'", 8 },
		{ "/dev/vg/x", "write '/dev/vg/x,,xvda1,w'", 9 },
		{ "/dev/vg/x,xvda,w", "write '/dev/vg/x,,xvda,w'", 10 },
		{ "/x,zip,xvda", "'zip' is not known", 3 },
		{ "foo:/x,xvda,w", "'foo:' is no known kind", 0 },
		{ "tap:foo:/x,xvda,w", "'foo:' is no known kind", 4 },
		{ "phy:,xvda,w", "no device and no file", 4 },
		{ ",raw,xvda,w", "no device and no file", 0 },
		{ "/x,empty,xvda,w", "no device and no file", 0 },
		{ "/x,raw,xvda,x", "'x' is no way", 12 },
		{ "/x,raw,xvda:tape,w", "':tape' is no kind", 7 },
		{ "/x,raw,xvda,devtype=tape", "'tape' is no kind", 20 },
		{ "/x,raw,xvda,w,again", "behind the access", 14 },
		{ "phy:x,xvda,w,0,uuid,more", "behind the access", 20 },
		{ "/x,raw,vdev=xvda,vdev=xvdb", "device name is there twice", 22 },
		{ "/x,raw,xvda,target=/y", "target is there twice", 19 },
		{ "/x,raw,xvda,format=qcow2", "format is there twice", 19 },
		{ "qcow:qcow2:/x,xvda,w", "format is there twice", 5 },
		{ "/x,raw,xvda,cache=none", "'cache' is no parameter", 12 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct diskspec d = { .vdev = (char *)"untouched" };
		char err[DISKSPEC_ERRLEN] = "";
		unsigned offset = 1000;

		assert_int_equal(diskspec_parse(rows[i].spec, &d, err, &offset), -EINVAL);
		if (!strstr(err, rows[i].told) || offset != rows[i].offset)
			fail_msg("%s: %u %s", rows[i].spec, offset, err);
		assert_string_equal(d.vdev, "untouched");
	}
}

static void interfaces(void **state)
{
	struct vifspec v;
	char err[VIFSPEC_ERRLEN];
	unsigned offset;

	(void)state;
	assert_int_equal(vifspec_parse("", &v, err, &offset), 0);
	assert_string_equal(v.mac, "");
	assert_null(v.bridge);
	vifspec_fini(&v);
	assert_int_equal(
		vifspec_parse("type=ioemu, mac=00:16:3E:A:0b:FF , bridge=br-sv,ip=192.0.2.1 "
			      "192.0.2.2,model=e1000,vifname=web,rate=10Mb/s@20ms,"
			      "script=vif-bridge,backend=0,mtu=9000,devid=3,trusted,",
			      &v, err, &offset),
		0);
	assert_string_equal(v.mac, "00:16:3e:0a:0b:ff");
	assert_string_equal(v.bridge, "br-sv");
	assert_string_equal(v.ip, "192.0.2.1 192.0.2.2");
	assert_string_equal(v.model, "e1000");
	assert_string_equal(v.vifname, "web");
	assert_string_equal(v.rate, "10Mb/s@20ms");
	assert_string_equal(v.mtu, "9000");
	assert_true(v.emulated);
	assert_null(v.other);
	vifspec_fini(&v);
	assert_int_equal(vifspec_parse("accel=sfc,netdev=eth0", &v, err, &offset), 0);
	assert_string_equal(v.other, "accel");
	assert_string_equal(v.gateway, "eth0");
	vifspec_fini(&v);
}

static void wrong_interfaces(void **state)
{
	static const struct {
		const char *spec;
		unsigned offset;
	} rows[] = {
		{ "mac=", 0 },
		{ "mac=00:16:3e:00:00", 4 },
		{ "bridge=x, mac=01:00:00:00:00:01", 14 },
		{ "mac=00:00:00:00:00:00", 4 },
		{ "mac=00:16:3e:00:00:01:02", 4 },
		{ "mac=00-16-3e-00-00-01", 4 },
		{ "mac=00:16:3e:00:00: 1", 4 },
		{ "bridge", 0 },
		{ "colour=red", 0 },
		{ "ip=1,xyz", 5 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		char err[VIFSPEC_ERRLEN];
		unsigned offset = 1000;
		struct vifspec v;

		if (vifspec_parse(rows[i].spec, &v, err, &offset) != -EINVAL ||
		    offset != rows[i].offset)
			fail_msg("%s: %u", rows[i].spec, offset);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(wrong_disks),
		cmocka_unit_test(interfaces),
		cmocka_unit_test(wrong_interfaces),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("diskspec", tests, NULL, NULL);
}
