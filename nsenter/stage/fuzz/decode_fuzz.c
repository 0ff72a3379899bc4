/*
 * Fuzzes the decoder: whatever it lets through is then used as the stage would
 * use it, every byte of every operand, so that a check that is missing becomes
 * a report of the address sanitizer.
 *
 *   cc -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -I.. decode_fuzz.c -o decode_fuzz
 *   ./decode_fuzz SEED SECONDS PLAN...
 *
 * The plans are the seeds that are mutated; the Go tests write some. With
 * clang, -DLIBFUZZER -fsanitize=fuzzer,address,undefined makes a libFuzzer
 * target of it.
 */
#include "../decode.c"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Where everything that was read ends up, for the compiler not to leave the reading out. */
static volatile u64 sink;

static void touch(const char *p, u64 n)
{
	for (u64 i = 0; i < n; i++)
		sink += (u8)p[i];
}

static void use_operand(const struct stage *s, int i)
{
	const char *p;
	u32 n;

	switch (op_kinds[s->plan.insn[s->at].op][i]) {
	case KIND_STR:
		touch(str(s, i), str_len(str(s, i)) + 1);
		break;
	case KIND_LIST:
		for (p = list(s, i, &n); n; n--, p = next(p))
			touch(p, str_len(p) + 1);
		break;
	case KIND_BLOB:
		p = blob(s, i, &n);
		touch(p, n);
		for (; n >= sizeof(u64); n -= sizeof(u64), p += sizeof(u64))
			sink += *(const u64 *)(const void *)p; /* aligned, as filters and groups have to be */
		break;
	case KIND_SLOT:
		sink += (u64)slot(s, i);
		break;
	default:
		sink += num(s, i);
	}
}

/* Decodes a copy that ends where its memory ends, and uses it. 1 where it was accepted. */
static int try(const void *data, size_t len, u32 slots)
{
	struct stage *s = calloc(1, sizeof(*s));
	void *copy = malloc(len ? len : 1);
	int ok;

	if (!s || !copy)
		abort();
	memcpy(copy, data, len);
	ok = decode(copy, len, slots, &s->plan) == 0;
	for (s->at = 0; ok && s->at < s->plan.insns; s->at++)
		for (int i = 0; i < MAX_ARGS; i++)
			use_operand(s, i);
	free(copy);
	free(s);
	return ok;
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try(data, size, SLOTS);
	return 0;
}
#else

static u64 state;

/* xorshift64*: the same seed gives the same run. */
static u64 draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dULL;
}

static u64 below(u64 n)
{
	return n ? draw() % n : 0;
}

#define INPUT_MAX (1 << 16)

struct input {
	size_t len;
	union {
		u8 byte[INPUT_MAX];
		u64 word[INPUT_MAX / 8];
		struct plan_header header;
	};
};

/* Values at the edges of what a plan of this size may refer to. */
static u64 edge(const struct input *in)
{
	const struct plan_header *h = &in->header;
	const u64 v[] = { 0, 1, 7, 8, OP_END - 1, OP_END, SLOTS - 1, SLOTS, in->len, h->pool_len, h->pool_len - 1, h->pool_off, 0x7fffffff, 0xffffffff, NO_SLOT };
	u64 a = v[below(sizeof(v) / sizeof(v[0]))] + below(3) - 1;

	return below(2) ? a : (a & 0xffffffff) | v[below(sizeof(v) / sizeof(v[0]))] << 32;
}

/* Makes the header fit again, so that the checks behind it get their turn. */
static void repair(struct input *in)
{
	struct plan_header *h = &in->header;
	u64 room = in->len - sizeof(*h), end;

	if (in->len < sizeof(*h) + sizeof(struct insn) + 1)
		return;
	memcpy(h->magic, PLAN_MAGIC, sizeof(h->magic));
	h->version = ISA_VERSION;
	h->size = (u32)in->len;
	h->timed = 0;
	if (h->insns == 0 || h->insns > room / sizeof(struct insn))
		h->insns = 1 + (u32)below(room / sizeof(struct insn));
	end = sizeof(*h) + h->insns * sizeof(struct insn);
	if (end >= in->len) {
		h->insns--;
		end -= sizeof(struct insn);
	}
	h->pool_off = (u32)end;
	h->pool_len = (u32)(in->len - end);
	if (below(16))
		in->byte[end] = in->byte[in->len - 1] = 0;
}

static void mutate(struct input *in, const struct input *other)
{
	size_t at, n;

	switch (below(8)) {
	case 0:
		in->byte[below(in->len)] ^= (u8)(1 << below(8));
		break;
	case 1:
		in->byte[below(in->len)] = (u8)draw();
		break;
	case 2: /* a field of the header */
		((u32 *)(void *)in->byte)[below(sizeof(struct plan_header) / 4)] = (u32)edge(in);
		break;
	case 3: /* an operand */
	case 4:
		in->word[below(in->len / 8)] = edge(in);
		break;
	case 5:
		in->len = below(8) ? in->len - below(in->len < 64 ? in->len : 64) : below(in->len);
		break;
	case 6:
		n = below(128);
		if (in->len + n <= INPUT_MAX) {
			memset(in->byte + in->len, (int)below(256), n);
			in->len += n;
		}
		break;
	case 7: /* a part of another plan */
		at = below(in->len);
		n = below(other->len);
		if (n > in->len - at)
			n = in->len - at;
		memcpy(in->byte + at, other->byte + below(other->len - n + 1), n);
		break;
	}
}

static void load(struct input *in, const char *path)
{
	FILE *f = fopen(path, "rb");

	if (!f) {
		perror(path);
		exit(2);
	}
	in->len = fread(in->byte, 1, INPUT_MAX, f);
	fclose(f);
	if (in->len < sizeof(struct plan_header) || !try(in->byte, in->len, SLOTS)) {
		fprintf(stderr, "%s: the decoder refuses the seed\n", path);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct input in;
	struct input *seeds;
	u64 runs = 0, accepted = 0;
	time_t end;
	int count = argc - 3;

	if (count < 1) {
		fprintf(stderr, "usage: decode_fuzz SEED SECONDS PLAN...\n");
		return 2;
	}
	state = strtoull(argv[1], 0, 0) | 1;
	end = time(0) + atoi(argv[2]);
	seeds = calloc((size_t)count, sizeof(*seeds));
	if (!seeds)
		return 2;
	for (int i = 0; i < count; i++)
		load(&seeds[i], argv[3 + i]);
	do {
		const struct input *seed = &seeds[below((u64)count)], *other = &seeds[below((u64)count)];

		in.len = seed->len;
		memcpy(in.byte, seed->byte, seed->len);
		for (u64 n = 1 + below(6); n && in.len; n--)
			mutate(&in, other);
		if (in.len && below(4))
			repair(&in);
		accepted += (u64)try(in.byte, in.len, (u32)below(SLOTS + 1));
	} while (++runs % 1024 || time(0) < end);
	printf("executions %llu accepted %llu\n", (unsigned long long)runs, (unsigned long long)accepted);
	free(seeds);
	return 0;
}
#endif
