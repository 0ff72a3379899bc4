package criu

// Type is what a request asks for, and what a response answers (criu_req_type).
type Type int32

// The requests that davit makes. CRIU makes Notify, and is answered with it.
const (
	Dump         Type = 1
	Restore      Type = 2
	PreDump      Type = 4
	Notify       Type = 6
	FeatureCheck Type = 9
	Version      Type = 10
)

// CgroupMode says what CRIU does about control groups (criu_cg_mode).
type CgroupMode int32

// The modes, by the names of criu's option --manage-cgroups.
const (
	CgroupIgnore CgroupMode = 0
	CgroupSoft   CgroupMode = 3 // restore those that don't exist
	CgroupFull   CgroupMode = 4 // and set all their values
	CgroupStrict CgroupMode = 5 // all have to be new
)

// NetworkLock is a way to keep packets from a network namespace (criu_network_lock_method).
type NetworkLock int32

// The ways; the default is iptables.
const (
	LockByDefault  NetworkLock = 0
	LockByNFTables NetworkLock = 2
)

// Request is a message to CRIU (criu_req).
type Request struct {
	Type     Type
	Options  *Options  // for Dump, PreDump and Restore
	Features *Features // for FeatureCheck: the ones that are asked about
	KeepOpen bool      // another request follows

	NotifySuccess bool // for Notify
}

// Features are what depends on CRIU's version and the kernel (criu_features).
type Features struct {
	MemTrack  bool // which pages changed since the last dump: CONFIG_MEM_SOFT_DIRTY
	LazyPages bool // userfaultfd(2)
}

// Pair is a key with a value: an external mount or an inherited descriptor's name.
type Pair struct{ Key, Value string }

// InheritedFD gives a restored process a descriptor of CRIU's own for what was Key at the dump.
type InheritedFD struct {
	Key string
	FD  int32 // as CRIU numbers it, see [Start]
}

// CgroupRoot is where restored processes go in a hierarchy.
type CgroupRoot struct{ Controller, Path string }

// JoinedNamespace is one that restored processes join instead of getting a new one.
type JoinedNamespace struct{ Type, Path string }

// PageServer is where pages are sent to instead of being written to the images.
type PageServer struct {
	Address string
	Port    int32
}

// Options of a dump or restore (criu_opts). Descriptors are the requester's own, which CRIU opens by /proc, except those of InheritFD.
type Options struct {
	ImagesDirFD int32
	WorkDirFD   int32 // for the log; 0 is the images' directory
	PID         int32 // the root of the tree to be dumped
	Root        string
	ParentImg   string // of the previous dump, relative to the images' directory

	LeaveRunning    bool
	ExtUnixSk       bool
	TCPEstablished  bool
	TCPSkipInFlight bool
	EvasiveDevices  bool
	ShellJob        bool
	FileLocks       bool
	LinkRemap       bool
	TrackMem        bool
	AutoDedup       bool
	LazyPages       bool
	OrphanPtsMaster bool // send the master of a terminal whose other end is restored
	NotifyScripts   bool // send Notify
	RstSibling      bool // restore as children of the requester

	LogLevel         int32
	LogFile          string
	PageServer       *PageServer
	StatusFD         int32 // is written a NUL byte to when the page server is ready; 0 for none
	ManageCgroups    bool
	CgroupMode       CgroupMode
	CgroupRoots      []CgroupRoot
	FreezeCgroup     string
	EmptyNamespaces  uint32 // CLONE_NEW* of those whose content is left out
	ExtMounts        []Pair
	External         []string
	InheritFDs       []InheritedFD
	JoinedNamespaces []JoinedNamespace
	ConfigFile       string
	LSMProfile       string
	NetworkLock      NetworkLock
	LSMMountContext  string

	SkipFileModeCheck bool // files may have other permissions than at the dump
}

// encode is the message in CRIU's wire format.
func (r *Request) encode() []byte {
	var e encoder
	e.required(1, int32(r.Type))
	if r.Options != nil {
		e.message(2, r.Options.encode)
	}
	e.boolean(3, r.NotifySuccess)
	e.boolean(4, r.KeepOpen)
	if f := r.Features; f != nil {
		e.message(5, func(e *encoder) {
			e.boolean(1, f.MemTrack)
			e.boolean(2, f.LazyPages)
		})
	}
	return e.buf
}

// encode numbers the fields as rpc.proto does.
func (o *Options) encode(e *encoder) {
	e.required(1, o.ImagesDirFD)
	e.integer(2, o.PID)
	for _, f := range [...]struct {
		field int
		set   bool
	}{
		{3, o.LeaveRunning}, {4, o.ExtUnixSk}, {5, o.TCPEstablished}, {6, o.EvasiveDevices}, {7, o.ShellJob}, {8, o.FileLocks},
		{12, o.NotifyScripts}, {15, o.TrackMem}, {16, o.AutoDedup}, {18, o.LinkRemap}, {24, o.ManageCgroups}, {26, o.RstSibling},
		{46, o.TCPSkipInFlight}, {48, o.LazyPages}, {50, o.OrphanPtsMaster}, {66, o.SkipFileModeCheck},
	} {
		e.boolean(f.field, f.set)
	}
	e.integer(9, o.LogLevel)
	e.text(10, o.LogFile)
	if p := o.PageServer; p != nil {
		e.message(11, func(e *encoder) {
			e.text(1, p.Address)
			e.integer(2, p.Port)
		})
	}
	e.text(13, o.Root)
	e.text(14, o.ParentImg)
	e.integer(17, o.WorkDirFD)
	if o.ManageCgroups {
		e.required(34, int32(o.CgroupMode))
	}
	e.unsigned(38, o.EmptyNamespaces)
	e.text(44, o.FreezeCgroup)
	e.integer(49, o.StatusFD)
	e.text(51, o.ConfigFile)
	e.text(53, o.LSMProfile)
	e.text(63, o.LSMMountContext)
	e.integer(64, int32(o.NetworkLock))
	o.encodeLists(e)
}

func (o *Options) encodeLists(e *encoder) {
	for _, m := range o.ExtMounts {
		e.message(23, func(e *encoder) {
			e.element(1, m.Key)
			e.element(2, m.Value)
		})
	}
	for _, r := range o.CgroupRoots {
		e.message(25, func(e *encoder) {
			e.element(1, r.Controller) // that of the unified hierarchy has no name, and is not the lack of one
			e.element(2, r.Path)
		})
	}
	for _, f := range o.InheritFDs {
		e.message(27, func(e *encoder) {
			e.element(1, f.Key)
			e.required(2, f.FD)
		})
	}
	for _, x := range o.External {
		e.element(37, x)
	}
	for _, n := range o.JoinedNamespaces {
		e.message(39, func(e *encoder) {
			e.element(1, n.Type)
			e.element(2, n.Path)
		})
	}
}

// Response is a message of CRIU's (criu_resp).
type Response struct {
	Type     Type
	Success  bool
	PID      int32 // of a restored tree's root
	Script   string
	Errno    int32
	ErrorMsg string
	Features Features

	Major, Minor, Sublevel int32 // of CRIU's version
}

// decode reads a message. What isn't known is left out, as protocol buffers have it.
func (r *Response) decode(data []byte) error {
	d := decoder{buf: data}
	for d.next() {
		switch d.field {
		case 1:
			r.Type = Type(d.integer())
		case 2:
			r.Success = d.boolean()
		case 4:
			d.inner(r.readRestored)
		case 5:
			d.inner(r.readNotification)
		case 7:
			r.Errno = d.integer()
		case 8:
			d.inner(r.readFeatures)
		case 9:
			r.ErrorMsg = d.text()
		case 10:
			d.inner(r.readVersion)
		}
	}
	return d.err
}

func (r *Response) readRestored(d *decoder) {
	if d.field == 1 {
		r.PID = d.integer()
	}
}

func (r *Response) readNotification(d *decoder) {
	switch d.field {
	case 1:
		r.Script = d.text()
	case 2:
		r.PID = d.integer()
	}
}

func (r *Response) readFeatures(d *decoder) {
	switch d.field {
	case 1:
		r.Features.MemTrack = d.boolean()
	case 2:
		r.Features.LazyPages = d.boolean()
	}
}

func (r *Response) readVersion(d *decoder) {
	switch d.field {
	case 1:
		r.Major = d.integer()
	case 2:
		r.Minor = d.integer()
	case 4:
		r.Sublevel = d.integer()
	}
}
