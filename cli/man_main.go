package cli

import (
	"fmt"
	"strings"
)

const manDescription = `davit runs containers from bundles, directories with a config.json and a root filesystem, as the runtime specification of the Open Container Initiative says. It takes runc's command line, prints what runc prints, and can stand in for it below containerd, Docker, Podman, Buildah and CRI-O.

A container is made by one command and looked at, changed and removed by others; between the commands nothing of davit keeps running. What is known of a container is kept in a directory, see --root.

Flags can be written as --flag value, --flag=value and with a single dash, before or after the arguments of a command. The global options are understood before and after the command.`

const manErrors = `An error is one line in the log: on standard error or, with --log, in a file and on standard error. With --log-format json it is an object with level, msg and time.`

// terms are tagged paragraphs of davit(1).
type terms []struct{ tag, meaning string }

func exitStatuses() terms {
	return terms{
		{"0", "The command did what it says, or the container's process ended with 0."},
		{"1", "An error, or a wrong command line."},
		{"255", "The process of davit exec could not be run."},
		{"N", "run and exec without --detach: the status of the process, or 128 plus the number of the signal that ended it."},
	}
}

func environment() terms {
	return terms{
		{"XDG_RUNTIME_DIR", "For a caller without privilege: where the directory with the containers' state is."},
		{"USER", "In a user namespace: root takes its uid 0 for that of a system, not of an unprivileged caller."},
		{"NOTIFY_SOCKET", "Readiness that the container's process reports is passed on to this socket, see sd_notify(3)."},
		{"LISTEN_FDS, LISTEN_PID", "Sockets that are passed to the container's process, see sd_listen_fds(3)."},
		{"NO_COLOR, TERM", "With NO_COLOR, or TERM=dumb, nothing is coloured."},
		{"PATH", "Where davit ps finds ps(1)."},
	}
}

func manFiles() terms {
	return terms{
		{"config.json", "The configuration in a bundle, see https://github.com/opencontainers/runtime-spec."},
		{"/run/davit", "State of root's containers."},
		{"$XDG_RUNTIME_DIR/davit", "State of the containers of a caller without privilege."},
	}
}

// mainPage is davit(1).
func mainPage(a *app, s *shape) string {
	p := newPage(name)
	p.section("NAME")
	p.WriteString("davit \\- run containers as the OCI runtime specification says\n")
	p.section("SYNOPSIS")
	p.WriteString(".B davit\n[\\fIglobal options\\fR] \\fICOMMAND\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]\n")
	p.words = []string{"ID", "COMMAND"}
	p.section("DESCRIPTION")
	p.prose(manDescription)
	p.section("COMMANDS")
	group := ""
	for _, e := range commands() {
		if e.group != group {
			group = e.group
			fmt.Fprintf(p, ".SS %s\n", group)
		}
		p.WriteString(".TP\n.BR " + roff(name+"-"+e.name) + " (1)\n")
		p.paragraph(sentence(e.summary))
	}
	p.section("GLOBAL OPTIONS")
	p.flags(s.global)
	p.section("EXIT STATUS")
	p.terms(exitStatuses())
	p.WriteString(".PP\n")
	p.prose(manErrors)
	p.section("ENVIRONMENT")
	p.terms(environment())
	p.section("FILES")
	p.terms(manFiles())
	p.section("EXAMPLES")
	p.WriteString("As root:\n")
	p.code(gettingStarted)
	p.section("SEE ALSO")
	var pages []string
	for i := range s.commands {
		pages = append(pages, ".BR "+roff(name+"-"+s.commands[i].name)+" (1)")
	}
	p.WriteString(strings.Join(pages, ",\n") + "\n")
	return p.String()
}

func (p *page) terms(list terms) {
	for _, t := range list {
		p.term(`\fB`+roff(t.tag)+`\fR`, t.meaning)
	}
}
