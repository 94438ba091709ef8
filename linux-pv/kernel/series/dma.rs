// SPDX-License-Identifier: GPL-2.0

//! Directions of DMA. `enum dma_data_direction` is a type of its own since 7.3
//! (`xen_rs_enum_types`), and an integer before. Used by the modules and, by its path, by built-in
//! objects.

#[cfg(xen_rs_enum_types)]
mod direction {
    use kernel::bindings::dma_data_direction;

    pub(crate) const DMA_BIDIRECTIONAL: dma_data_direction = dma_data_direction::DMA_BIDIRECTIONAL;
    pub(crate) const DMA_TO_DEVICE: dma_data_direction = dma_data_direction::DMA_TO_DEVICE;
    pub(crate) const DMA_FROM_DEVICE: dma_data_direction = dma_data_direction::DMA_FROM_DEVICE;
}

#[cfg(not(xen_rs_enum_types))]
mod direction {
    pub(crate) use kernel::bindings::{
        dma_data_direction_DMA_BIDIRECTIONAL as DMA_BIDIRECTIONAL,
        dma_data_direction_DMA_FROM_DEVICE as DMA_FROM_DEVICE,
        dma_data_direction_DMA_TO_DEVICE as DMA_TO_DEVICE, //
    };
}

pub(crate) use direction::*;
