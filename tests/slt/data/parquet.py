"""Writes the Parquet files that `parquet_sources.slt` reads: `pip install pyarrow==26.0.1; python parquet.py`, in this folder."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq

noon = datetime(2025, 12, 31, 12, tzinfo=timezone.utc)


def at(seconds):
    return noon + timedelta(seconds=seconds)


# Groups of two rows; texts in a dictionary; times with a zone.
pq.write_table(
    pa.table(
        {
            "id": pa.array([1, 2, 3, 4, 5], pa.int64()),
            "City": pa.array(["Ulm", "Bonn", None, "", "Köln"]).dictionary_encode(),
            "price": pa.array([Decimal("1.005"), Decimal("-7"), None, Decimal("0.5"), Decimal("99.99")], pa.decimal128(10, 3)),
            "paid": pa.array([True, False, None, True, True]),
            "day": pa.array([date(2025, 12, 31), date(1969, 7, 20), None, date(1, 1, 1), date(9999, 12, 31)]),
            "at": pa.array([at(10), at(40), at(70), at(80), at(130)], pa.timestamp("us", "Europe/Berlin")),
            "geo": pa.array(
                [{"code": 49, "pos": {"lat": 48.4}}, {"code": None, "pos": None}, None, {"code": 1, "pos": {"lat": None}}, {"code": 2, "pos": {"lat": 1.5}}],
                pa.struct([("code", pa.int16()), ("pos", pa.struct([("lat", pa.float64())]))]),
            ),
            "tags": pa.array([["a", 'b "c"'], [], None, [None], ["é"]], pa.list_(pa.string())),
            "unused": pa.array([b"\x00"] * 5),
        }
    ),
    "parquet/a.parquet",
    compression="zstd",
    row_group_size=2,
)
# Other types for the same columns, and rows that do not fit.
pq.write_table(
    pa.table(
        {
            "price": pa.array([2.345, 1e12, 3.0, 4.0, 5.0, 6.0, 7.0]),
            "id": pa.array([6, 7, None, 9, 10, 2**63 + 1, 12], pa.uint64()),
            "City": pa.array([b"Aalen", b"Jena", b"Hof", b"\xff", b"a\x00b", b"Gera", b"Suhl"]),
            "at": pa.array([1767182595000, 1767182596000, 1767182597000, 1767182598000, 1767182599000, 1767182599500, 1767182599600]),
            "geo": pa.array([None] * 6 + [7], pa.int32()),
        }
    ),
    "parquet/b.parquet",
    compression="snappy",
)
# Every type that a column does not take as it is, one row a codec.
for codec in ["none", "gzip", "brotli", "lz4"]:
    pq.write_table(
        pa.table(
            {
                "codec": [codec],
                "ns": pa.array([1767182400123456789], pa.timestamp("ns")),
                "s": pa.array([1767182400.25], pa.float64()),
                "whole": pa.array([Decimal("12345")], pa.decimal128(20, 0)),
                "small": pa.array([1.5], pa.float32()),
                "wide": pa.array([1e300]),
                "clock": pa.array([3723000000], pa.time64("us")),
                "raw": pa.array([b"0123456789abcdef"], pa.binary(16)),
                "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())),
                "text": ["2025-12-31T12:00:00+01:00"],
            }
        ),
        f"parquet_codecs/{codec}.parquet",
        compression=codec,
    )
