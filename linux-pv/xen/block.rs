// SPDX-License-Identifier: GPL-2.0

//! Block devices: a safe abstraction over blk-mq (owned by the block driver work).
