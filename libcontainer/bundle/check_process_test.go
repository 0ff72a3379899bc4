package bundle

import (
	"strings"
	"testing"
)

const idMapped = ` && linux.namespaces[6] = {"type": "user"}` +
	` && linux.uidMappings = [{"containerID": 0, "hostID": 1000, "size": 10}]` +
	` && linux.gidMappings = [{"containerID": 0, "hostID": 1000, "size": 10}]`

func TestProcess(t *testing.T) {
	runBroken(t, []broken{
		{`process = {"args": ["x"]}`, "process.cwd", "empty"},
		{`- process.cwd`, "process.cwd", "empty"},
		{`process.cwd = "work"`, "process.cwd", "absolute"},
		{`- process.args`, "process.args", "at least one"},
		{`process.args = []`, "process.args", "at least one"},
		{`process.args = ["", "x"]`, "process.args[0]", "executable file not found in $PATH"},
		{`process.user.uid = 4294967295`, "process.user.uid", "-1"},
		{`process.user.gid = 4294967295`, "process.user.gid", "-1"},
		{`process.user.additionalGids = [0, 4294967295]`, "process.user.additionalGids[1]", "-1"},
		{`process.user.additionalGids = [` + strings.Repeat("1,", 65536) + `1]`, "process.user.additionalGids", "65536"},
		{`process.user.umask = 512`, "process.user.umask", "777"},
		{`process.user.uid = 10` + idMapped, "process.user.uid", "linux.uidMappings"},
		{`process.user.gid = 10` + idMapped, "process.user.gid", "linux.gidMappings"},
		{`process.user.additionalGids = [9, 10]` + idMapped, "process.user.additionalGids[1]", "no mapping"},
		{`process.terminal = true && process.consoleSize = {"height": 70000, "width": 80}`, "process.consoleSize.height", "65535"},
		{`process.terminal = true && process.consoleSize = {"height": 25, "width": 65536}`, "process.consoleSize.width", "65535"},
		{`process.rlimits = [{"hard": 1, "soft": 1}]`, "process.rlimits[0].type", "empty"},
		{`process.rlimits = [{"type": "RLIMIT_FOO", "hard": 1, "soft": 1}]`, "process.rlimits[0].type", "not a resource limit"},
		{`process.rlimits = [{"type": "nofile", "hard": 1, "soft": 1}]`, "process.rlimits[0].type", "use RLIMIT_NOFILE"},
		{`process.rlimits = [{"type": "rlimit_core", "hard": 1, "soft": 1}]`, "process.rlimits[0].type", "use RLIMIT_CORE"},
		{`process.rlimits = [{"type": "RLIMIT_NOFILE", "hard": 1, "soft": 2}]`, "process.rlimits[0].soft", "hard limit"},
		{`process.rlimits = [{"type": "RLIMIT_NOFILE", "hard": 2, "soft": 2}, {"type": "RLIMIT_CPU", "hard": 2, "soft": 2}, {"type": "RLIMIT_NOFILE", "hard": 2, "soft": 2}]`, "process.rlimits[2].type", "entry 0 already"},
		{`process.apparmorProfile = "a\nb"`, "process.apparmorProfile", "newline"},
		{`process.selinuxLabel = "a\n"`, "process.selinuxLabel", "newline"},
		{`process.oomScoreAdj = 1001`, "process.oomScoreAdj", "1000"},
		{`process.oomScoreAdj = -1001`, "process.oomScoreAdj", "-1000"},
		{`process.ioPriority = {"priority": 1}`, "process.ioPriority.class", "empty"},
		{`process.ioPriority = {"class": "IOPRIO_CLASS_NONE", "priority": 1}`, "process.ioPriority.class", "IOPRIO_CLASS_BE"},
		{`process.ioPriority = {"class": "IOPRIO_CLASS_BE", "priority": 8}`, "process.ioPriority.priority", "0 to 7"},
		{`process.ioPriority = {"class": "IOPRIO_CLASS_BE", "priority": -1}`, "process.ioPriority.priority", "0 to 7"},
		{`process.execCPUAffinity = {"initial": "a"}`, "process.execCPUAffinity.initial", "list of CPUs"},
		{`process.execCPUAffinity = {"initial": "0", "final": "3-1"}`, "process.execCPUAffinity.final", "ends before"},
		{`process.execCPUAffinity = {"final": ", "}`, "process.execCPUAffinity.final", "without a CPU"},
		{`process.execCPUAffinity = {"final": "1-2-3"}`, "process.execCPUAffinity.final", "list of CPUs"},
		{`process.execCPUAffinity = {"final": "-1"}`, "process.execCPUAffinity.final", "list of CPUs"},
		{`process.execCPUAffinity = {"final": "+1"}`, "process.execCPUAffinity.final", "list of CPUs"},
		{`process.execCPUAffinity = {"final": "0-"}`, "process.execCPUAffinity.final", "list of CPUs"},
		{`process.execCPUAffinity = {"final": "0 1"}`, "process.execCPUAffinity.final", "list of CPUs"},
		{`process.execCPUAffinity = {"final": "0-3\n"}`, "process.execCPUAffinity.final", "list of CPUs"},
		{`process.execCPUAffinity = {"final": "99999999999"}`, "process.execCPUAffinity.final", "list of CPUs"},
	})
	runValid(t, []valid{
		`process.env = ["", "A", "=x", "A=", "A=1", "A=2"]`,
		`process.args = ["sh", ""]`,
		`process.capabilities = {"bounding": ["CAP_NOT_THERE", "x"], "ambient": ["CAP_CHOWN"]}`,
		`process.consoleSize = {"height": 70000, "width": 80}`,
		`process.terminal = true && process.consoleSize = {"height": 0, "width": 65535}`,
		`process.user = {"uid": 4294967294, "gid": 0, "umask": 511, "additionalGids": [0, 5], "username": "x"}`,
		`process.user = {"uid": 9, "gid": 0, "additionalGids": [9]}` + idMapped,
		`process.user.uid = 77` + idMapped + ` && linux.namespaces[6].path = "/proc/1/ns/user"`,
		`process.rlimits = [{"type": "RLIMIT_CORE", "hard": 18446744073709551615, "soft": 18446744073709551615}]`,
		`process.oomScoreAdj = -1000`,
		`process.ioPriority = {"class": "IOPRIO_CLASS_IDLE", "priority": 7}`,
		`process.execCPUAffinity = {"initial": "0-3,7", "final": ""}`,
		`process.execCPUAffinity = {"initial": " 0-3, 7,,9"}`,
		`process.commandLine = "x.exe"`,
	})
}

func TestScheduler(t *testing.T) {
	runBroken(t, []broken{
		{`process.scheduler = {}`, "process.scheduler.policy", "empty"},
		{`process.scheduler = {"policy": "SCHED_FAST"}`, "process.scheduler.policy", "not a scheduling policy"},
		{`process.scheduler = {"policy": "SCHED_ISO"}`, "process.scheduler.policy", "not implemented"},
		{`process.scheduler = {"policy": "SCHED_OTHER", "nice": 20}`, "process.scheduler.nice", "-20 to 19"},
		{`process.scheduler = {"policy": "SCHED_OTHER", "nice": -21}`, "process.scheduler.nice", "-20 to 19"},
		{`process.scheduler = {"policy": "SCHED_OTHER", "priority": 1}`, "process.scheduler.priority", "no meaning"},
		{`process.scheduler = {"policy": "SCHED_FIFO"}`, "process.scheduler.priority", "1 to 99"},
		{`process.scheduler = {"policy": "SCHED_RR", "priority": 100}`, "process.scheduler.priority", "1 to 99"},
		{`process.scheduler = {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK", "X"]}`, "process.scheduler.flags[1]", "not a scheduling flag"},
		{`process.scheduler = {"policy": "SCHED_BATCH", "runtime": 5}`, "process.scheduler.runtime", "SCHED_DEADLINE"},
		{`process.scheduler = {"policy": "SCHED_IDLE", "deadline": 5}`, "process.scheduler.deadline", "SCHED_DEADLINE"},
		{`process.scheduler = {"policy": "SCHED_FIFO", "priority": 1, "period": 5}`, "process.scheduler.period", "SCHED_DEADLINE"},
		{`process.scheduler = {"policy": "SCHED_DEADLINE", "runtime": 1023, "deadline": 5000}`, "process.scheduler.runtime", "1024"},
		{`process.scheduler = {"policy": "SCHED_DEADLINE", "runtime": 5000, "deadline": 4000}`, "process.scheduler.deadline", "shorter"},
		{`process.scheduler = {"policy": "SCHED_DEADLINE", "runtime": 5000, "deadline": 6000, "period": 5500}`, "process.scheduler.period", "shorter"},
		{`process.scheduler = {"policy": "SCHED_DEADLINE", "runtime": 5000, "deadline": 6000, "period": 9223372036854775808}`, "process.scheduler.period", "more than the kernel"},
	})
	runValid(t, []valid{
		`process.scheduler = {"policy": "SCHED_OTHER", "nice": 19}`,
		`process.scheduler = {"policy": "SCHED_FIFO", "priority": 99, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}`,
		`process.scheduler = {"policy": "SCHED_FIFO", "flags": ["SCHED_FLAG_KEEP_PARAMS"]}`,
		`process.scheduler = {"policy": "SCHED_DEADLINE", "runtime": 1024, "deadline": 1024}`,
		`process.scheduler = {"policy": "SCHED_DEADLINE", "runtime": 5000, "deadline": 6000, "period": 6000, "flags": ["SCHED_FLAG_RECLAIM"]}`,
	})
}
