package storage

import "strings"

// Volume is what the disk of a directory has; -1 where the file system does not tell.
type Volume struct {
	Total, Usable int64 // bytes
	Offline       error // nil, or why the directory can no longer be trusted
}

// Volume looks at the disk.
func (d *Dir) Volume() Volume {
	v := Volume{Total: -1, Usable: -1, Offline: d.Offline()}
	if u, err := d.fs.GetDiskUsage(d.path); err == nil {
		v.Total, v.Usable = int64(u.TotalBytes), int64(u.AvailBytes)
	}
	return v
}

// Size is what the log's records take on disk, in bytes. A log that is not in use stays unread.
func (l *Log) Size() (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed != nil {
		return 0, l.closed
	}
	var size int64
	if l.loaded {
		for _, s := range l.segments {
			size += s.size()
		}
		return size, nil
	}
	names, err := l.fs.List(l.path)
	if err != nil {
		if _, missing := l.fs.Stat(l.path); missing != nil {
			return 0, nil // nothing was ever appended
		}
		return 0, err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, logSuffix) {
			continue
		}
		info, err := l.fs.Stat(l.fs.PathJoin(l.path, name))
		if err != nil {
			return 0, err
		}
		size += info.Size()
	}
	return size, nil
}
