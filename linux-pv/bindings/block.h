/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Constants of the block layer that are macros with casts, which bindgen cannot evaluate by itself.
 */
#ifndef XEN_RS_BLOCK_H
#define XEN_RS_BLOCK_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/hdreg.h>
#include <linux/cdrom.h>

/* linux/blk_types.h: completion status of a request. */
static const blk_status_t XEN_RS_BLK_STS_NOTSUPP = BLK_STS_NOTSUPP;
static const blk_status_t XEN_RS_BLK_STS_RESOURCE = BLK_STS_RESOURCE;
static const blk_status_t XEN_RS_BLK_STS_IOERR = BLK_STS_IOERR;

/* linux/blk_types.h: operation and flags of a request. */
static const blk_opf_t XEN_RS_REQ_OP_MASK = REQ_OP_MASK;
static const blk_opf_t XEN_RS_REQ_FUA = REQ_FUA;

/* linux/blk-mq.h: request flags. */
static const req_flags_t XEN_RS_RQF_SCHED_TAGS = RQF_SCHED_TAGS;
static const req_flags_t XEN_RS_RQF_NEED_TIME_STAMP = RQF_IO_STAT | RQF_STATS | RQF_USE_SCHED;

/* linux/blkdev.h: features of a queue. */
static const blk_features_t XEN_RS_BLK_FEAT_WRITE_CACHE = BLK_FEAT_WRITE_CACHE;
static const blk_features_t XEN_RS_BLK_FEAT_FUA = BLK_FEAT_FUA;
static const blk_features_t XEN_RS_BLK_FEAT_ROTATIONAL = BLK_FEAT_ROTATIONAL;
static const blk_features_t XEN_RS_BLK_FEAT_STABLE_WRITES = BLK_FEAT_STABLE_WRITES;

/* uapi/linux/cdrom.h: ioctls that a virtual CD-ROM answers. */
static const unsigned int XEN_RS_CDROMMULTISESSION = CDROMMULTISESSION;
static const unsigned int XEN_RS_CDROM_MULTISESSION_SIZE = sizeof(struct cdrom_multisession);
static const unsigned int XEN_RS_CDROM_GET_CAPABILITY = CDROM_GET_CAPABILITY;

#endif
