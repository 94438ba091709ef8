// SPDX-License-Identifier: GPL-2.0
/*
 * test-cpuid: prints what CPUID answers on the processor it runs on, a line "LEAF.SUBLEAF EAX EBX ECX EDX" in hexadecimal
 * digits for each leaf that there is, the hypervisor's among them.
 */

#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>

/* Leaves with subleaves, and how many of those are asked for. */
static uint32_t subleaves(uint32_t leaf)
{
	switch (leaf) {
	case 4: case 0xb: case 0x8000001d: return 4;
	case 7: case 0x40000003: return 3;
	case 0xd: return 10;
	default: return 1;
	}
}

static void range(uint32_t first, uint32_t last)
{
	for (uint32_t leaf = first; leaf >= first && leaf <= last; leaf++)
		for (uint32_t sub = 0; sub < subleaves(leaf); sub++) {
			uint32_t a, b, c, d;

			__cpuid_count(leaf, sub, a, b, c, d);
			printf("%x.%x %08x %08x %08x %08x\n", leaf, sub, a, b, c, d);
		}
}

int main(void)
{
	static const uint32_t firsts[] = { 0, 0x40000000, 0x80000000 };

	for (unsigned index = 0; index < sizeof(firsts) / sizeof(firsts[0]); index++) {
		uint32_t last, b, c, d;

		__cpuid(firsts[index], last, b, c, d);
		/* Anything else is no range. */
		if (last >= firsts[index] && last - firsts[index] < 0x100)
			range(firsts[index], last);
	}
	return 0;
}
