/*
 * What a person at the guest's screen has: display, keyboard, mouse, sound.
 *
 * A guest has a display if it had one in Xen, and then by VNC on 127.0.0.1: a listener on all
 * addresses, with a password of eight characters in a file, is nothing to carry over unasked.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridgectl/domain/convert_private.h"
#include "bridgectl/domain/mem.h"

#define VNC_PORT 5900

/* The parts of vfb = ['type=vnc,…'] that count; borrowed until freed. */
struct vfb {
	char *text;
	const char *listen, *display, *keymap;
	bool password, vnc, other, unused;
};

static void read_vfb(const char *spec, struct vfb *f)
{
	char *save, *p;

	f->text = mem_strdup(spec);
	for (p = strtok_r(f->text, ", \t", &save); p; p = strtok_r(NULL, ", \t", &save)) {
		char *value = strchr(p, '=');

		if (!value)
			continue;
		*value++ = '\0';
		if (!strcmp(p, "vnclisten"))
			f->listen = value;
		else if (!strcmp(p, "vncdisplay"))
			f->display = value;
		else if (!strcmp(p, "keymap"))
			f->keymap = value;
		else if (!strcmp(p, "vncpasswd"))
			f->password = *value;
		else if (!strcmp(p, "vncunused"))
			f->unused = strcmp(value, "0") != 0;
		else if (!strcmp(p, "vnc"))
			f->vnc = strcmp(value, "0") != 0;
		else if (!strcmp(p, "sdl") || !strcmp(p, "opengl"))
			f->other |= strcmp(value, "0") != 0;
		else if (!strcmp(p, "type"))
			f->vnc = !(f->other = strcmp(value, "vnc") != 0);
	}
}

static void tell_listener(struct converter *v, const char *key, const char *listen)
{
	struct place at = conv_place(v, key, NULL);

	if (listen && strncmp(listen, "127.", 4) && strcmp(listen, "localhost") != 0)
		conv_warn(v, at,
			  "VNC listens on 127.0.0.1, not on %s; reach it through ssh, or edit the "
			  "definition",
			  listen);
}

static void tell_password(struct converter *v, const char *key, bool password)
{
	struct place at = conv_place(v, key, NULL);

	if (password)
		conv_warn(v, at, "the password of VNC is left out: nobody else reaches 127.0.0.1");
}

/* xl gives every HVM guest VNC unless told not to. */
static bool had_display(struct converter *v, const struct vfb *f)
{
	const struct guest *g = v->g;
	bool other = g->sdl > 0 || g->spice > 0 || f->other;
	bool vnc = g->vnc > 0 || f->vnc ||
		   (g->kind == GUEST_HVM && g->vnc == GUEST_UNSET && !other && !f->text);

	if (g->nographic > 0 || (g->vga && !strcmp(g->vga, "none")))
		return false;
	if (other && !vnc)
		conv_warn(v, conv_place(v, "vfb", g->sdl > 0 ? "sdl" : "spice"),
			  "the display is reached by VNC, not by a window of the host or SPICE");
	return vnc || other;
}

static void read_port(struct converter *v, const struct vfb *f)
{
	const struct guest *g = v->g;
	int display = g->vncdisplay;
	bool any = g->vncunused > 0;
	char *end;

	if (f->display) {
		long n = strtol(f->display, &end, 10);

		display = *end || n < 0 || n > 59635 ? GUEST_UNSET : (int)n;
		any = f->unused;
	}
	if (display != GUEST_UNSET && !any)
		v->c->vnc_port = VNC_PORT + (unsigned)display;
}

/* "de", "en-us": QEMU opens a file of that name. */
static void read_keymap(struct converter *v, const char *keymap)
{
	const char *s = keymap;

	while (s && (isalnum((unsigned char)*s) || *s == '-'))
		s++;
	if (s && !*s && s - keymap < (long)sizeof(v->c->keymap))
		snprintf(v->c->keymap, sizeof(v->c->keymap), "%s", keymap);
	else if (s)
		conv_warn(v, conv_place(v, "keymap", "vfb"),
			  "keymap is left out: there is no layout '%s'", keymap);
}

static void read_card(struct converter *v)
{
	const struct guest *g = v->g;
	bool known = !g->vga || !strcmp(g->vga, "stdvga") || !strcmp(g->vga, "cirrus") ||
		     !strcmp(g->vga, "qxl");

	/* The one that every system has a driver for. */
	v->c->video = "vga";
	if (!known)
		conv_lose(v, "vga", conv_place(v, "vga", NULL), "a graphics card of that kind");
	else if (g->vga && strcmp(g->vga, "stdvga") != 0)
		conv_warn(v, conv_place(v, "vga", NULL), "the graphics card is vga, not %s",
			  g->vga);
	if (g->videoram_mib > 0) {
		v->c->vram_kib = 1024;
		while (v->c->vram_kib < (unsigned)g->videoram_mib * 1024)
			v->c->vram_kib *= 2;
	}
}

static void read_display(struct converter *v)
{
	const struct guest *g = v->g;
	struct vfb f = { 0 };

	if (g->vfb.n)
		read_vfb(g->vfb.v[0], &f);
	v->c->vnc = had_display(v, &f);
	if (v->c->vnc) {
		tell_listener(v, "vnclisten", g->vnclisten);
		tell_listener(v, "vfb", f.listen);
		tell_password(v, "vncpasswd", g->vncpasswd != NULL);
		tell_password(v, "vfb", f.password);
		read_port(v, &f);
		read_card(v);
		read_keymap(v, f.keymap ? f.keymap : g->keymap);
	}
	free(f.text);
}

/* --- USB and sound --- */

static void read_usb(struct converter *v)
{
	const struct guest *g = v->g;
	bool *const wanted[] = { &v->c->tablet, &v->c->mouse, &v->c->keyboard };
	static const char *const names[] = { "tablet", "mouse", "keyboard" };

	for (unsigned i = 0; i < g->usbdevices.n; i++) {
		unsigned n = 0;

		while (n < ARRAY_SIZE(names) && strcmp(g->usbdevices.v[i], names[n]) != 0)
			n++;
		if (n < ARRAY_SIZE(names))
			*wanted[n] = true;
		else
			conv_lose(v, "usbdevice", conv_place(v, "usbdevice", NULL),
				  "a USB device of the old host");
	}
	/* A PV display has a pointer that knows where it is. */
	v->c->tablet |= v->c->vnc && g->kind != GUEST_HVM;
	if (g->usb > 0 || v->c->tablet || v->c->mouse || v->c->keyboard)
		v->c->usb = g->usbversion == 3 ? "qemu-xhci" :
			    g->usbversion == 2 ? "ehci" :
						 "piix3-uhci";
}

static void read_sound(struct converter *v)
{
	static const char *const cards[][2] = {
		{ "ac97", "ac97" }, { "es1370", "es1370" }, { "sb16", "sb16" },
		{ "hda", "ich6" },  { "all", "ac97" },
	};
	const char *s = v->g->soundhw;

	if (!s || v->g->kind != GUEST_HVM)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(cards); i++)
		if (!strcmp(s, cards[i][0]))
			v->c->sound = cards[i][1];
	if (!v->c->sound)
		conv_lose(v, "soundhw", conv_place(v, "soundhw", NULL),
			  "a sound card of that kind");
}

void conv_graphics(struct converter *v)
{
	read_display(v);
	read_usb(v);
	read_sound(v);
}
