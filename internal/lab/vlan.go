package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel this lab has to run on may lack 8021q, so a VLAN sub-interface is
// a macvlan (mode private) whose tag is pushed and popped by three eBPF
// classifiers. The sub-interface's ifindex is its VLAN id, which is all that
// the programs need to know:
//
//	egress of eth3.N   mark the frame with the ifindex of the device: N
//	egress of eth3     a marked frame gets tag N; the mark is cleared
//	ingress of eth3    a tagged frame loses its tag and arrives on ifindex N,
//	                   or is dropped when there is no such device
//
// A capture on eth3 shows tagged frames and one on eth3.N untagged ones, as
// with 8021q. Operational state follows the NIC as it does there, because
// macvlan is stacked the same way. Two differences remain: `ip -d link` says
// macvlan instead of vlan, and the sub-interface has a MAC of its own.

// An instruction is one eBPF instruction as the kernel reads it.
type instruction struct {
	code uint8
	regs uint8 // destination in the low, source in the high four bits
	off  int16
	imm  int32
}

// Offsets into struct __sk_buff and helper numbers of the kernel's ABI.
const (
	skbMark        = 8
	skbVLANPresent = 20
	skbVLANTag     = 24
	skbIfindex     = 40

	helperVLANPush = 18
	helperVLANPop  = 19
	helperRedirect = 23

	redirectToIngress = 1
	vlanIDMask        = 0xfff
	// tagWanted sets our marks apart: the kernel keeps other things in the
	// same word (a reserved tail room), and those frames must stay untagged.
	tagWanted = 0x57a60000
)

func moveReg(dst, src uint8) instruction             { return instruction{0xbf, src<<4 | dst, 0, 0} }
func moveImm(dst uint8, imm int32) instruction       { return instruction{0xb7, dst, 0, imm} }
func andImm(dst uint8, imm int32) instruction        { return instruction{0x57, dst, 0, imm} }
func loadWord(dst, src uint8, off int16) instruction { return instruction{0x61, src<<4 | dst, off, 0} }

func storeWord(dst, src uint8, off int16) instruction {
	return instruction{0x63, src<<4 | dst, off, 0}
}
func orImm(dst uint8, imm int32) instruction { return instruction{0x47, dst, 0, imm} }
func skipUnless(reg uint8, imm int32, n int16) instruction {
	return instruction{0x55, reg, n, imm}
}
func skipIfZero(reg uint8, n int16) instruction { return instruction{0x15, reg, n, 0} }
func call(helper int32) instruction             { return instruction{0x85, 0, 0, helper} }
func exit() instruction                         { return instruction{0x95, 0, 0, 0} }

// tagPrograms are the three classifiers by the name they are pinned under.
func tagPrograms() map[string][]instruction {
	const r0, r1, r2, r3, r6, r7 = 0, 1, 2, 3, 6, 7
	tpid := int32(binary.NativeEndian.Uint16([]byte{0x81, 0x00})) // network order
	return map[string][]instruction{
		"mark": {
			loadWord(r0, r1, skbIfindex),
			orImm(r0, tagWanted),
			storeWord(r1, r0, skbMark),
			moveImm(r0, 0),
			exit(),
		},
		"push": {
			moveReg(r6, r1),
			loadWord(r7, r6, skbMark),
			moveReg(r3, r7),
			andImm(r3, ^vlanIDMask),
			skipUnless(r3, tagWanted, 7),
			moveImm(r0, 0),
			storeWord(r6, r0, skbMark),
			moveReg(r1, r6),
			moveImm(r2, tpid),
			moveReg(r3, r7),
			andImm(r3, vlanIDMask),
			call(helperVLANPush),
			moveImm(r0, 0),
			exit(),
		},
		"pop": {
			moveReg(r6, r1),
			loadWord(r7, r6, skbVLANPresent),
			skipIfZero(r7, 8),
			loadWord(r7, r6, skbVLANTag),
			andImm(r7, vlanIDMask),
			moveReg(r1, r6),
			call(helperVLANPop),
			moveReg(r1, r7),
			moveImm(r2, redirectToIngress),
			call(helperRedirect),
			exit(),
			moveImm(r0, 0),
			exit(),
		},
	}
}

// pinTagPrograms loads the classifiers and pins them in dir, a bpf file system.
func pinTagPrograms(dir string) error {
	for name, code := range tagPrograms() {
		fd, err := loadClassifier(code)
		if err != nil {
			return fmt.Errorf("load the %s classifier (VLAN tags need eBPF): %w", name, err)
		}
		err = pinObject(fd, filepath.Join(dir, name))
		if err = errors.Join(err, unix.Close(fd)); err != nil {
			return fmt.Errorf("pin the %s classifier: %w", name, err)
		}
	}
	return nil
}

// progLoad is the part of union bpf_attr that BPF_PROG_LOAD reads here.
type progLoad struct {
	progType, insnCount uint32
	insns, license      uint64
	logLevel, logSize   uint32
	logBuf              uint64
	kernVersion, flags  uint32
}

// objPin is the part of union bpf_attr that BPF_OBJ_PIN reads.
type objPin struct {
	path      uint64
	fd, flags uint32
}

func loadClassifier(code []instruction) (int, error) {
	license := []byte("GPL\x00")
	attr := progLoad{
		progType: unix.BPF_PROG_TYPE_SCHED_CLS, insnCount: uint32(len(code)),
		insns:   uint64(uintptr(unsafe.Pointer(&code[0]))),
		license: uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	var fd uintptr
	errno := unix.EAGAIN
	// The verifier gives up when a signal is pending, and the Go runtime sends
	// itself many to preempt goroutines.
	for try := 0; try < 20 && errno == unix.EAGAIN; try++ {
		fd, _, errno = unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	}
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

func pinObject(fd int, path string) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	attr := objPin{path: uint64(uintptr(unsafe.Pointer(p))), fd: uint32(fd)}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_OBJ_PIN, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(p)
	if errno != 0 {
		return errno
	}
	return nil
}
