package dockercli

// tag names an image that the scenario makes and its end removes.
func (c C) tag() string {
	tag := "davit.test/" + c.ID
	c.Cleanup(func() { c.Do("rmi", "-f", tag) })
	return tag
}

// build makes the command line of a build in a directory with this Dockerfile.
func (c C) build(dockerfile string, flags ...string) []string {
	line := c.Build(c.Runtime)
	if line == nil {
		c.Skipf("a build takes the daemon's default runtime")
	}
	c.Write("tmp/"+c.ID+"/Dockerfile", "FROM "+c.Image+"\n"+dockerfile, 0o644)
	return append(append(line, flags...), c.Path("tmp", c.ID))
}

var imageScenarios = []Scenario{
	{Name: "build", Run: func(c C) {
		tag := c.tag()
		c.Write("tmp/"+c.ID+"/file", "of the context", 0o644)
		c.Must(c.build(`COPY file /srv/
RUN echo "built by $(id -un)" >/srv/built && echo bob:x:1001:1000::/:/bin/sh >>/etc/passwd
WORKDIR /srv
USER bob
RUN id -un >/tmp/who
ENTRYPOINT ["sh", "-c", "cat file built /tmp/who; pwd; exit 4"]
`, "-t", tag)...)
		c.Image = tag
		c.Equal("output", c.End(4).Out(), "of the contextbuilt by root\nbob\n/srv")
	}},
	{Name: "build that fails", Run: func(c C) {
		out := c.Run(c.build("RUN exit 33\n", "--force-rm")...)
		c.Contains("error", out.Stdout+out.Stderr, c.BuildFailed)
		if out.Code == 0 {
			c.Fatalf("it should fail: %v", out)
		}
	}},
	{Name: "diff, commit, export", Run: func(c C) {
		c.Start()
		c.Exec("sh", "-c", "echo kept >/root/file")
		c.Contains("diff", c.Do("diff", c.ID), "A /root/file")
		of := c
		of.Image = c.tag()
		c.Do("commit", c.ID, of.Image)
		c.Equal("content", of.Other("cat", "/root/file"), "kept")
		archive := c.Path("tmp", c.ID+".tar")
		c.Do("export", "-o", archive, c.ID)
		c.Contains("archive", c.Must("tar", "-tf", archive), "root/file")
	}},
	{Name: "save and load", Run: func(c C) {
		tag := c.tag()
		archive := c.Path("tmp", c.ID+".tar")
		c.Do("tag", c.Image, tag)
		c.Do("save", "-o", archive, tag)
		c.Do("rmi", tag)
		c.Do("load", "-i", archive)
		c.Image = tag
		c.Equal("output", c.Out("echo", "loaded"), "loaded")
	}},
}
