"""The Hub: search, repositories at a pinned commit, byte ranges and a download that loses nothing."""
