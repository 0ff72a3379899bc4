package lab

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strings"
)

// ImagePath is PATH in the images.
const ImagePath = "PATH=/bin:/usr/bin:/sbin:/usr/sbin"

// Rootfs makes a tar archive of a file tree with busybox and the users root
// (0) and alice (1000), and returns its path.
func (c *Cell) Rootfs() string {
	c.t.Helper()
	file := c.Path("rootfs.tar")
	if _, err := os.Stat(file); err == nil {
		return file
	}
	archive, err := rootfs()
	if err != nil {
		c.t.Fatalf("make a rootfs: %v", err)
	}
	return c.Write("rootfs.tar", string(archive), 0o644)
}

func rootfs() ([]byte, error) {
	found, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	busybox, err := os.ReadFile(found)
	if err != nil {
		return nil, err
	}
	applets, err := exec.Command(found, "--list").Output()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	var fault error
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		err := w.WriteHeader(&h)
		if err == nil {
			_, err = w.Write(content)
		}
		fault = errors.Join(fault, err)
	}
	for _, d := range []string{"bin", "dev", "etc", "proc", "sys", "root", "home", "var"} {
		add(tar.Header{Name: d + "/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	add(tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	add(tar.Header{Name: "home/alice/", Typeflag: tar.TypeDir, Mode: 0o755, Uid: 1000, Gid: 1000}, nil)
	add(tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"))
	add(tar.Header{Name: "etc/group", Mode: 0o644}, []byte("root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n"))
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, busybox)
	for name := range strings.FieldsSeq(string(applets)) {
		if name != "busybox" {
			add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
		}
	}
	return b.Bytes(), errors.Join(fault, w.Close())
}

// Image makes an archive in the OCI image layout of one layer, the rootfs,
// and returns its path. Name is what the engine will know it by.
func (c *Cell) Image(name string, cmd ...string) string {
	c.t.Helper()
	layer, err := os.ReadFile(c.Rootfs())
	if err != nil {
		c.t.Fatal(err)
	}
	archive, err := ociArchive(name, layer, cmd)
	if err != nil {
		c.t.Fatalf("make the image %s: %v", name, err)
	}
	return c.Write(path.Base(strings.ReplaceAll(name, ":", "-"))+".oci.tar", string(archive), 0o644)
}

type object map[string]any

func ociArchive(name string, layer []byte, cmd []string) ([]byte, error) {
	const media = "application/vnd.oci.image."
	blobs := make(map[string][]byte)
	var fault error
	descriptor := func(mediaType string, blob []byte) object {
		digest := fmt.Sprintf("%x", sha256.Sum256(blob))
		blobs["blobs/sha256/"+digest] = blob
		return object{"mediaType": media + mediaType, "digest": "sha256:" + digest, "size": len(blob)}
	}
	encode := func(o object) []byte {
		text, err := json.Marshal(o)
		fault = errors.Join(fault, err)
		return text
	}
	rootfs := descriptor("layer.v1.tar", layer)
	config := descriptor("config.v1+json", encode(object{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": object{"Cmd": cmd, "Env": []string{ImagePath}},
		"rootfs": object{"type": "layers", "diff_ids": []any{rootfs["digest"]}},
	}))
	manifest := descriptor("manifest.v1+json", encode(object{
		"schemaVersion": 2, "mediaType": media + "manifest.v1+json", "config": config, "layers": []object{rootfs},
	}))
	manifest["annotations"] = object{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
	blobs["index.json"] = encode(object{"schemaVersion": 2, "manifests": []object{manifest}})
	blobs["oci-layout"] = encode(object{"imageLayoutVersion": "1.0.0"})

	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for file, content := range blobs {
		err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(content))})
		if err == nil {
			_, err = w.Write(content)
		}
		fault = errors.Join(fault, err)
	}
	return b.Bytes(), errors.Join(fault, w.Close())
}
