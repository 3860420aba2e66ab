package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// The parts of bbolt's file format that a check needs. Numbers are in the
// byte order of the machine.
const (
	pageHeader  = 16 // id 8, flags 2, count 2, overflow 4
	elementSize = 16 // leaf: flags, pos, ksize, vsize; branch: pos, ksize, child 8
	metaSize    = 64
	metaMagic   = 0xED0CDAED
	metaVersion = 2

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketEntry  = 0x01

	noFreelist = ^uint64(0)
	// manyFree in a freelist's count says that the first id is the count.
	manyFree = 0xFFFF
	// maxDepth is far more than any tree or nesting here has.
	maxDepth = 64
	// initialPages is the size of a file that bbolt has only just made. The
	// first commit makes it larger.
	initialPages = 4
)

// An image is a bbolt file as it is read without bbolt: by bounded reads,
// each page once, so that no damage can hang or crash the reading.
type image struct {
	file     io.ReaderAt
	pageSize uint64
	root     uint64
	freelist uint64
	end      uint64 // no page at or above it is in use
	txid     uint64
	used     []bool
}

// readImage reads the newer of the two valid headers, as bbolt does.
func readImage(file io.ReaderAt, size int64) (*image, error) {
	first := readMeta(file, 0)
	newest := first
	pageSizes := []uint64{}
	if first != nil {
		pageSizes = append(pageSizes, first.pageSize)
	} else {
		for n := uint64(1024); n <= 1<<16; n *= 2 {
			pageSizes = append(pageSizes, n)
		}
	}
	for _, n := range pageSizes {
		second := readMeta(file, int64(n)) //nolint:gosec // at most 64 KiB
		if second != nil && second.pageSize == n && (newest == nil || second.txid > newest.txid) {
			newest = second
		}
	}
	if newest == nil {
		return nil, damagef("neither of its headers is valid")
	}
	pages := uint64(size) / newest.pageSize //nolint:gosec // a size is not negative
	if newest.end > pages {
		return nil, damagef("it has %d pages of %d: it was cut short", pages, newest.end)
	}
	newest.used = make([]bool, newest.end)
	return newest, nil
}

// readMeta reads the header at offset, or returns nil when it is not valid.
func readMeta(file io.ReaderAt, offset int64) *image {
	b := make([]byte, metaSize)
	if _, err := file.ReadAt(b, offset+pageHeader); err != nil {
		return nil
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8]) // a hash does not fail
	ne := binary.NativeEndian
	m := &image{
		file: file, pageSize: uint64(ne.Uint32(b[8:])), root: ne.Uint64(b[16:]),
		freelist: ne.Uint64(b[32:]), end: ne.Uint64(b[40:]), txid: ne.Uint64(b[48:]),
	}
	sane := m.pageSize >= 1024 && m.pageSize <= 1<<16 && m.pageSize&(m.pageSize-1) == 0
	if ne.Uint32(b) != metaMagic || ne.Uint32(b[4:]) != metaVersion || ne.Uint64(b[56:]) != sum.Sum64() || !sane {
		return nil
	}
	return m
}

// unfinished reports whether file was left by a creation that did not get to
// its end: nothing but zeros, or less than the first pages that bbolt makes. A
// store with anything in it is larger and has a later transaction.
func unfinished(file io.ReaderAt, size int64) bool {
	if size > initialPages<<16 {
		return false
	}
	b := make([]byte, size)
	if _, err := file.ReadAt(b, 0); err != nil {
		return false
	}
	if len(bytes.Trim(b, "\x00")) == 0 {
		return true
	}
	m := readMeta(file, 0)
	return m != nil && m.txid == 0 && size < int64(initialPages*m.pageSize) //nolint:gosec // at most 256 KiB
}

// A page is one page with the pages it overflows into.
type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte
}

func (m *image) take(id uint64) error {
	if id < 2 || id >= m.end {
		return damagef("page %d is referred to, of %d", id, m.end)
	}
	if m.used[id] {
		return damagef("page %d is used twice", id)
	}
	m.used[id] = true
	return nil
}

// page reads page id and marks it as used.
func (m *image) page(ctx context.Context, id uint64) (page, error) {
	if err := contextError(ctx); err != nil {
		return page{}, err
	}
	if err := m.take(id); err != nil {
		return page{}, err
	}
	b, err := m.read(id, 1)
	if err != nil {
		return page{}, err
	}
	if got := binary.NativeEndian.Uint64(b); got != id {
		return page{}, damagef("page %d says that it is page %d", id, got)
	}
	overflow := uint64(binary.NativeEndian.Uint32(b[12:]))
	for next := id + 1; next <= id+overflow; next++ {
		if err := m.take(next); err != nil {
			return page{}, err
		}
	}
	if overflow > 0 {
		if b, err = m.read(id, 1+overflow); err != nil {
			return page{}, err
		}
	}
	return parsePage(id, b), nil
}

func (m *image) read(id, pages uint64) ([]byte, error) {
	b := make([]byte, pages*m.pageSize)
	if _, err := m.file.ReadAt(b, int64(id*m.pageSize)); err != nil { //nolint:gosec // below the file's size
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return b, nil
}

func parsePage(id uint64, b []byte) page {
	return page{id: id, flags: binary.NativeEndian.Uint16(b[8:]), count: int(binary.NativeEndian.Uint16(b[10:])), data: b}
}

// element returns the i-th element's fixed part.
func (p page) element(i int) ([]byte, error) {
	at := pageHeader + i*elementSize
	if at+elementSize > len(p.data) {
		return nil, damagef("page %d has no room for its %d elements", p.id, p.count)
	}
	return p.data[at:], nil
}

// bytes returns n bytes at pos, counted from an element's own place.
func (p page) bytes(element []byte, pos, n uint32) ([]byte, error) {
	if uint64(pos)+uint64(n) > uint64(len(element)) {
		return nil, damagef("an element of page %d reaches beyond it", p.id)
	}
	return element[pos : pos+n], nil
}

// checkFreelist checks that the pages on the list of free ones are in range and
// on it once. It marks them as used: nothing else may refer to them.
func (m *image) checkFreelist(ctx context.Context) error {
	if m.freelist == noFreelist {
		return nil
	}
	p, err := m.page(ctx, m.freelist)
	if err != nil {
		return err
	}
	if p.flags != freelistPage {
		return damagef("page %d should be the list of free pages", p.id)
	}
	ids, count := p.data[pageHeader:], uint64(p.count) //nolint:gosec // 16 bits
	if count == manyFree {
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return damagef("the list of free pages has no room for its %d entries", count)
	}
	for i := range count {
		if err := m.take(binary.NativeEndian.Uint64(ids[8*i:])); err != nil {
			return err
		}
	}
	return nil
}

// A tree is the walk through one bucket.
type tree struct {
	image *image
	// last is the key seen last, low the least the next may be.
	last, low []byte
	visit     func(flags uint32, key, value []byte) error
}

func (t *tree) walk(ctx context.Context, id uint64, depth int) error {
	if depth > maxDepth {
		return damagef("page %d lies too deep", id)
	}
	p, err := t.image.page(ctx, id)
	if err != nil {
		return err
	}
	switch p.flags {
	case leafPage:
		return t.leaf(p)
	case branchPage:
		return t.branch(ctx, p, depth)
	}
	return damagef("page %d is neither a branch nor a leaf", p.id)
}

func (t *tree) branch(ctx context.Context, p page, depth int) error {
	if p.count == 0 {
		return damagef("branch page %d is empty", p.id)
	}
	for i := range p.count {
		e, err := p.element(i)
		if err != nil {
			return err
		}
		key, err := p.bytes(e, binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:]))
		if err != nil {
			return err
		}
		if t.last != nil && bytes.Compare(t.last, key) >= 0 {
			return damagef("the keys of branch page %d are out of order", p.id)
		}
		t.low = bytes.Clone(key)
		if err := t.walk(ctx, binary.NativeEndian.Uint64(e[8:]), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) leaf(p page) error {
	for i := range p.count {
		e, err := p.element(i)
		if err != nil {
			return err
		}
		ne := binary.NativeEndian
		flags, pos, ksize, vsize := ne.Uint32(e), ne.Uint32(e[4:]), ne.Uint32(e[8:]), ne.Uint32(e[12:])
		key, err := p.bytes(e, pos, ksize)
		if err != nil {
			return err
		}
		value, err := p.bytes(e[ksize:], pos, vsize)
		if err != nil {
			return err
		}
		if (t.last != nil && bytes.Compare(t.last, key) >= 0) || bytes.Compare(key, t.low) < 0 {
			return damagef("the keys of page %d are out of order", p.id)
		}
		t.last = bytes.Clone(key)
		if err := t.visit(flags, key, value); err != nil {
			return err
		}
	}
	return nil
}

// walkBucket walks the bucket whose entry in its parent is value: a tree of
// pages, or a single leaf that is part of the entry.
func (m *image) walkBucket(ctx context.Context, value []byte, visit func(flags uint32, key, value []byte) error) error {
	if len(value) < 16 {
		return damagef("a bucket's entry has %d bytes", len(value))
	}
	t := &tree{image: m, visit: visit}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return t.walk(ctx, root, 0)
	}
	inline := value[16:]
	if len(inline) < pageHeader {
		return damagef("a bucket's own page has %d bytes", len(inline))
	}
	return t.leaf(parsePage(0, inline))
}

// rootEntries walks the root bucket and returns the entries of the buckets in
// it. Whybot's buckets hold no others.
func (m *image) rootEntries(ctx context.Context) (map[string][]byte, error) {
	entries := map[string][]byte{}
	t := &tree{image: m, visit: func(flags uint32, key, value []byte) error {
		if flags != bucketEntry {
			return damagef("an entry beside the buckets")
		}
		entries[string(key)] = value
		return nil
	}}
	return entries, t.walk(ctx, m.root, 0)
}
