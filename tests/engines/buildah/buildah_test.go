package buildah

import (
	"strings"

	"davit/tests/engines/lab"
)

var scenarios = []lab.Scenario{
	{Name: "bud", Run: with(func(b buildah) {
		b.built()
		b.Must(b.bud(nil, "ENV GREETING=hello", "WORKDIR /work", "RUN echo $GREETING >file && id -u >who", "USER alice", "RUN id -un >/tmp/who && pwd >>/tmp/who")...)
		name := b.from("davit.test/" + b.ID)
		b.Equal("content", b.Must(b.run(name, nil, "cat", "file", "who", "/tmp/who")...), "hello\n0\nalice\n/work")
	})},
	{Name: "bud that fails", Run: with(func(b buildah) {
		out := b.Run(b.bud(nil, "RUN exit 5")...)
		if out.Code == 0 {
			b.Fatalf("it should fail: %v", out)
		}
		b.Contains("error", out.Stderr, "exit status 5")
	})},
	{Name: "bud --layers", Run: with(func(b buildah) {
		b.built()
		lines := []string{"RUN echo one >/one", "RUN cat /one >/two", "RUN rm /one && touch /three"}
		b.Must(b.bud([]string{"--layers"}, lines...)...)
		b.Contains("output", b.Must(b.bud([]string{"--layers"}, lines...)...), "Using cache")
		name := b.from("davit.test/" + b.ID)
		b.Equal("files", b.Must(b.run(name, nil, "sh", "-c", "cat /two; ls /three; [ -e /one ] || echo gone")...), "one\n/three\ngone")
	})},
	{Name: "bud --cap-add --security-opt --volume", Run: with(func(b buildah) {
		b.built()
		b.Write("tmp/"+b.ID+"-data/file", "of the host", 0o644)
		b.Must(b.bud([]string{"--cap-add", "SYS_TIME", "--security-opt", "seccomp=unconfined", "--volume", b.Path("tmp", b.ID+"-data") + ":/data:ro"},
			"RUN grep -q of /data/file && ! touch /data/x && grep -q Seccomp:.*0 /proc/self/status && grep CapEff /proc/self/status >/caps")...)
		name := b.from("davit.test/" + b.ID)
		b.Contains("capabilities", b.Must(b.run(name, nil, "cat", "/caps")...), "00000000820405fb")
	})},
	{Name: "run", Run: with(func(b buildah) {
		name := b.from(image)
		b.Equal("output", b.Must(b.run(name, []string{"--env", "GREETING=hello", "--workingdir", "/tmp"}, "sh", "-c", "echo $GREETING; pwd; id -u; echo $$; echo kept >/root/file")...), "hello\n/tmp\n0\n1")
		b.Equal("content", b.Must(b.run(name, nil, "cat", "/root/file")...), "kept")
	})},
	{Name: "run's exit codes", Run: with(func(b buildah) {
		name := b.from(image)
		b.Want(7, b.run(name, nil, "sh", "-c", "exit 7")...)
		out := b.Run(b.run(name, nil, "no-such-program")...)
		if out.Code == 0 {
			b.Fatalf("it should fail: %v", out)
		}
		b.Contains("error", out.Stderr, "no-such-program", "not found in $PATH")
	})},
	{Name: "run with stdin", Run: with(func(b buildah) {
		name := b.from(image)
		b.Equal("output", b.RunWith(strings.NewReader("through a pipe"), b.run(name, nil, "cat")...).Stdout, "through a pipe")
	})},
	{Name: "run -t", Run: with(func(b buildah) {
		name := b.from(image)
		term := b.Terminal(33, 77, b.run(name, []string{"-t"}, "sh", "-c", "tty; read x; until stty size | grep -v '^0 0'; do sleep 0.02; done; echo got $x; exit 5")...)
		b.Shows(term, "/dev/pts/0")
		term.Type("words\n")
		b.Equal("exit status", term.Wait(), 5)
		b.Contains("output", term.Output(), "33 77", "got words")
	})},
	{Name: "run --user --hostname --mount", Run: with(func(b buildah) {
		name := b.from(image)
		b.Equal("output", b.Must(b.run(name, []string{"--user", "alice", "--hostname", "ship", "--mount", "type=tmpfs,dst=/scratch"}, "sh", "-c", "id -un; hostname; stat -f -c %T /scratch")...), "alice\nship\ntmpfs")
	})},
	{Name: "run --cap-drop", Run: with(func(b buildah) {
		name := b.from(image)
		b.Contains("capabilities", b.Must(b.run(name, []string{"--cap-drop", "CAP_KILL"}, "grep", "CapEff", "/proc/self/status")...), "00000000800405db")
		b.Contains("filter", b.Must(b.run(name, nil, "grep", "Seccomp:", "/proc/self/status")...), "2")
	})},
	{Name: "run with the runtime of containers.conf", Run: with(func(b buildah) {
		name := b.from(image)
		b.Equal("output", b.buildah("run", "--network", "none", name, "--", "echo", "by davit"), "by davit")
	})},
}
