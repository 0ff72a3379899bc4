package cgroups

func (m *manager) Stats() (*Stats, error) { return nil, ErrNotExist }

type Stats struct{}
