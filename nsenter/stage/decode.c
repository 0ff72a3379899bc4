/*
 * The decoder: one pass over the whole plan before anything of it is used. A
 * plan comes from davit itself in a sealed memfd; it is checked all the same,
 * so that a damaged one is refused and can't make the stage read or write
 * outside the plan.
 */
#include "stage.h"

static int bad_string(const struct plan_header *h, u64 v)
{
	/* The pool ends with a NUL, so whatever begins inside ends inside. */
	return v >= h->pool_len;
}

static int bad_list(const struct plan_header *h, const char *pool, u64 v)
{
	u32 at = (u32)v, count = (u32)(v >> 32);

	while (count--) {
		if (at >= h->pool_len)
			return 1;
		while (pool[at])
			at++;
		at++;
	}
	return 0;
}

static int bad_blob(const struct plan_header *h, u64 v)
{
	u64 at = (u32)v, len = v >> 32;

	return at % 8 || at > h->pool_len || len > h->pool_len - at;
}

static int bad_insn(const struct plan_header *h, const char *pool, u64 slots, const struct insn *in)
{
	if (in->op == 0 || in->op >= OP_END || in->zero)
		return 1;
	for (int i = 0; i < MAX_ARGS; i++) {
		u64 v = in->arg[i];
		switch (op_kinds[in->op][i]) {
		case KIND_NONE:
			if (v)
				return 1;
			break;
		case KIND_NUM:
			break;
		case KIND_STR:
			if (bad_string(h, v))
				return 1;
			break;
		case KIND_LIST:
			if (bad_list(h, pool, v))
				return 1;
			break;
		case KIND_BLOB:
			if (bad_blob(h, v))
				return 1;
			break;
		case KIND_SLOT:
			if (v != NO_SLOT && v >= slots)
				return 1;
			break;
		}
	}
	return 0;
}

int decode(const void *data, u64 len, u64 slots, struct plan *out)
{
	const struct plan_header *h = data;
	const char *base = data, *pool;
	const struct insn *insn;
	u64 end;

	if (len < sizeof(*h) || len > PLAN_MAX || h->size != len)
		return -EINVAL;
	for (int i = 0; i < 8; i++)
		if (h->magic[i] != PLAN_MAGIC[i])
			return -EINVAL;
	if (h->version != ISA_VERSION)
		return -EPROTO;
	end = sizeof(*h) + (u64)h->insns * sizeof(*insn);
	if (h->timed > 1 || h->insns == 0 || end > len || h->pool_off != end)
		return -EINVAL;
	if (h->pool_len == 0 || h->pool_len != len - end)
		return -EINVAL;
	pool = base + h->pool_off;
	if (pool[0] || pool[h->pool_len - 1])
		return -EINVAL;
	insn = (const void *)(base + sizeof(*h));
	for (u32 i = 0; i < h->insns; i++)
		if (bad_insn(h, pool, slots, &insn[i]))
			return -EINVAL;
	out->insn = insn;
	out->insns = h->insns;
	out->pool = pool;
	out->timed = (int)h->timed;
	return 0;
}
