/* Landlock: what the process may reach of its files, TCP ports and neighbours, landlock(7). */
#include "stage.h"

/* linux/landlock.h, which older build hosts have only in part. */
#define LANDLOCK_RULE_PATH_BENEATH_ 1
#define LANDLOCK_RULE_NET_PORT_ 2

struct path_beneath {
	u64 access;
	i32 fd;
} __attribute__((packed));

struct net_port {
	u64 access;
	u64 port;
};

void do_landlock_ruleset(struct stage *s)
{
	u32 len;
	const char *attr = blob(s, LANDLOCK_RULESET_ATTR, &len);

	s->ruleset = (int)sys(landlock_create_ruleset, attr, len, 0);
	check(s, "landlock_create_ruleset", s->ruleset);
}

void do_landlock_path(struct stage *s)
{
	const char *path = str(s, LANDLOCK_PATH_PATH);
	int fd = slot(s, LANDLOCK_PATH_FD);
	struct path_beneath rule = { .access = num(s, LANDLOCK_PATH_ACCESS), .fd = fd };
	u64 device;

	if (fd < 0)
		rule.fd = root_open(s, path, O_PATH, 0);
	if ((rule.fd == -ENOENT || rule.fd == -ENOTDIR) && num(s, LANDLOCK_PATH_OPTIONAL))
		return;
	check(s, "open", rule.fd);
	if ((file_mode(s, rule.fd, &device) & S_IFMT_) != S_IFDIR_)
		rule.access = num(s, LANDLOCK_PATH_FILE_ACCESS);
	if (!rule.access) {
		str_add(s->detail, sizeof(s->detail), "these rights are about directories, and it is none");
		fail(s, "landlock_add_rule", -ENOTDIR);
	}
	check(s, "landlock_add_rule", sys(landlock_add_rule, s->ruleset, LANDLOCK_RULE_PATH_BENEATH_, &rule, 0));
	if (fd < 0)
		sys(close, rule.fd);
}

void do_landlock_port(struct stage *s)
{
	struct net_port rule = { num(s, LANDLOCK_PORT_ACCESS), num(s, LANDLOCK_PORT_PORT) };

	check(s, "landlock_add_rule", sys(landlock_add_rule, s->ruleset, LANDLOCK_RULE_NET_PORT_, &rule, 0));
}

void do_landlock_restrict(struct stage *s)
{
	check(s, "landlock_restrict_self", sys(landlock_restrict_self, s->ruleset, 0));
	sys(close, s->ruleset);
	s->ruleset = -1;
}
