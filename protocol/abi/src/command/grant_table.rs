// SPDX-License-Identifier: GPL-2.0

//! Commands of `grant_table_op`. Most take a list, and its length as the third argument.

use crate::grant_table::op;

commands! {
    GRANT_TABLE_OP;
    /// Maps grants of other domains.
    MapGrantRef = MAP_GRANT_REF(op::MapGrantRef) InOut;
    /// Unmaps grants.
    UnmapGrantRef = UNMAP_GRANT_REF(op::UnmapGrantRef) InOut;
    /// Copies between pages, granted or the caller's.
    Copy = COPY(op::Copy) InOut;
    /// Exchanges two entries of the caller's table.
    SwapGrantRef = SWAP_GRANT_REF(op::SwapGrantRef) InOut;
    /// Grows a table and returns its frames. A list of one.
    SetupTable = SETUP_TABLE(op::SetupTable) InOut;
    /// Asks for the size of a table. A list of one.
    QuerySize = QUERY_SIZE(op::QuerySize) InOut;
    /// Asks for the frames with status words. A list of one.
    GetStatusFrames = GET_STATUS_FRAMES(op::GetStatusFrames) InOut;
    /// Sets the version of the caller's table; it is copied back even if that fails.
    SetVersion = SET_VERSION(op::SetVersion) InOut;
    /// Asks for the version of a table.
    GetVersion = GET_VERSION(op::GetVersion) InOut;
}

list_commands! {
    MapGrantRef,
    UnmapGrantRef,
    Copy,
    SwapGrantRef,
    SetupTable,
    QuerySize,
    GetStatusFrames,
}

// The others map, unmap or copy pages, write to lists, or change the table itself.
plain_commands! {
    QuerySize,
    GetVersion,
}
