/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shims for time (core/time). A shim is one expression of the kernel's API with a name that Rust
 * can call; its comment says why it cannot be Rust.
 */
#ifndef XEN_CORE_TIME_H
#define XEN_CORE_TIME_H

struct static_key;

/* linux/jump_label.h: inline without CONFIG_JUMP_LABEL. */
void xen_core_static_key_inc(struct static_key *key);

#endif /* XEN_CORE_TIME_H */
