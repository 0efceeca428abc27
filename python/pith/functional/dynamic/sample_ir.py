"""The IR that samples how sparse a matrix is: flags of 32x32 blocks, counted at several micro-tiles at once."""

from __future__ import annotations

#: Side of a block.
SIDE = 32

#: What the kernel counts, in the order of its result.
COUNTED = ((1, 1), (1, 8), (1, 32), (4, 1), (8, 1), (16, 1), (32, 1))

_PARAMS = ("row0", "row_step", "column0", "column_step")


def sample_source(element: str) -> str:
    """Count non-empty micro-tiles in the blocks ``row0, row0 + row_step, ...`` by ``column0, ...`` of a matrix.

    Results: per entry of :data:`COUNTED` how many are not empty; per sampled block row a word whose bit i says that
    row i holds anything in the blocks looked at; per block column the same of columns.
    """
    k = len(COUNTED)
    counts, flags = ", ".join("i64" for _ in COUNTED), "tensor<?xi32>, tensor<?xi32>"
    outer = ", ".join(f"%n{i} = %z64" for i in range(k))
    inner = ", ".join(f"%in{i} = %n{i}" for i in range(k))
    return f"""
func.func @sample(%x: tensor<?x?x{element}>, {", ".join(f"%{p}: index" for p in _PARAMS)})
    -> (tensor<{k}xi64>, {flags}) {{
{_start(element)}  %t:{k + 2} = scf.for %a = %zero to %an step %one iter_args({outer}, %rw = %f0, %cw = %f1)
      -> ({counts}, {flags}) {{
    %am = arith.muli %a, %row_step : index
    %ab = arith.addi %am, %row0 : index
    %row = arith.muli %ab, %side : index
    %s:{k + 2} = scf.for %b = %zero to %bn step %one iter_args({inner}, %word = %z32, %cv = %cw)
        -> ({counts}, i32, tensor<?xi32>) {{
      %bm = arith.muli %b, %column_step : index
      %bb = arith.addi %bm, %column0 : index
      %column = arith.muli %bb, %side : index
{_block(element)}
      %old = tensor.extract %cv[%b] : tensor<?xi32>
      %new = arith.ori %old, %tall32_0 : i32
      %next = tensor.insert %new into %cv[%b] : tensor<?xi32>
      scf.yield {", ".join(f"%k{i}" for i in range(k))}, %word{SIDE}, %next : {counts}, i32, tensor<?xi32>
    }}
    %rn = tensor.insert %s#{k} into %rw[%a] : tensor<?xi32>
    scf.yield {", ".join(f"%s#{i}" for i in range(k))}, %rn, %s#{k + 1} : {counts}, {flags}
  }}
  %all = tensor.from_elements {", ".join(f"%t#{i}" for i in range(k))} : tensor<{k}xi64>
  return %all, %t#{k}, %t#{k + 1} : tensor<{k}xi64>, {flags}
}}
"""


def _start(element: str) -> str:
    """Constants, the numbers of blocks that are looked at (``%an`` by ``%bn``), and cleared words for both results."""
    return f"""  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %side = arith.constant {SIDE} : index
  %z64 = arith.constant 0 : i64
  %z32 = arith.constant 0 : i32
  %none = arith.constant dense<0> : vector<4xi8>
  %rows = tensor.dim %x, %zero : tensor<?x?x{element}>
  %columns = tensor.dim %x, %one : tensor<?x?x{element}>
  %rb0 = arith.divui %rows, %side : index
  %rb = arith.maxui %rb0, %one : index
  %cb0 = arith.divui %columns, %side : index
  %cb = arith.maxui %cb0, %one : index
  %width = arith.minui %columns, %side : index
  %ra = arith.subi %rb, %row0 : index
  %an = arith.ceildivui %ra, %row_step : index
  %ca = arith.subi %cb, %column0 : index
  %bn = arith.ceildivui %ca, %column_step : index
  %pad = arith.constant {_zero(element)} : {element}
  %pads = arith.constant dense<{_zero(element)}> : vector<{SIDE}x{element}>
  %e0 = tensor.empty(%an) : tensor<?xi32>
  %e1 = tensor.empty(%bn) : tensor<?xi32>
  %f0 = linalg.fill ins(%z32 : i32) outs(%e0 : tensor<?xi32>) -> tensor<?xi32>
  %f1 = linalg.fill ins(%z32 : i32) outs(%e1 : tensor<?xi32>) -> tensor<?xi32>
"""


def _block(element: str) -> str:
    """The flags of one block: 32 rows of words, merged upwards in pairs, and what is counted of each."""
    lines = ["%wide0 = arith.constant 0 : i32", "%bytes0 = arith.constant 0 : i32", "%single0 = arith.constant 0 : i32"]
    lines += ["%word0 = arith.addi %word, %z32 : i32"]
    for r in range(SIDE):
        lines += _row(r, element)
    tall = 1
    while tall < SIDE:
        for g in range(SIDE // tall // 2):
            lines.append(f"%tall{2 * tall}_{g} = arith.ori %tall{tall}_{2 * g}, %tall{tall}_{2 * g + 1} : i32")
        tall *= 2
    sums = {(1, 1): f"%single{SIDE}", (1, 8): f"%bytes{SIDE}", (1, 32): f"%wide{SIDE}"}
    for i, tile in enumerate(COUNTED):
        name = sums.get(tile) or _total(lines, tile[0])
        lines += [f"%x{i} = arith.extui {name} : i32 to i64", f"%k{i} = arith.addi %in{i}, %x{i} : i64"]
    return "\n".join("      " + line for line in lines)


def _row(r: int, element: str) -> list[str]:
    vector = f"vector<{SIDE}x{element}>"
    compare = "cmpi ne" if element.startswith("i") else "cmpf une"
    return [
        f"%o{r} = arith.constant {r} : index",
        f"%r{r} = arith.addi %row, %o{r} : index",
        f"%inside{r} = arith.cmpi ult, %r{r}, %rows : index",
        f"%w{r} = arith.select %inside{r}, %width, %zero : index",
        f"%m{r} = vector.create_mask %w{r} : vector<{SIDE}xi1>",
        f"%v{r} = vector.transfer_read %x[%r{r}, %column], %pad, %m{r} {{in_bounds = [true]}} : "
        f"tensor<?x?x{element}>, {vector}",
        f"%p{r} = arith.{compare}, %v{r}, %pads : {vector}",
        f"%q{r} = vector.bitcast %p{r} : vector<{SIDE}xi1> to vector<1xi32>",
        f"%tall1_{r} = vector.extract %q{r}[0] : i32 from vector<1xi32>",
        f"%c{r} = math.ctpop %tall1_{r} : i32",
        f"%single{r + 1} = arith.addi %single{r}, %c{r} : i32",
        f"%y{r} = vector.bitcast %q{r} : vector<1xi32> to vector<4xi8>",
        f"%yn{r} = arith.cmpi ne, %y{r}, %none : vector<4xi8>",
        f"%yc{r} = arith.extui %yn{r} : vector<4xi1> to vector<4xi32>",
        f"%ys{r} = vector.reduction <add>, %yc{r} : vector<4xi32> into i32",
        f"%bytes{r + 1} = arith.addi %bytes{r}, %ys{r} : i32",
        f"%any{r} = arith.cmpi ne, %tall1_{r}, %z32 : i32",
        f"%ai{r} = arith.extui %any{r} : i1 to i32",
        f"%wide{r + 1} = arith.addi %wide{r}, %ai{r} : i32",
        f"%sh{r} = arith.constant {r} : i32",
        f"%bit{r} = arith.shli %ai{r}, %sh{r} : i32",
        f"%word{r + 1} = arith.ori %word{r}, %bit{r} : i32",
    ]


def _total(lines: list[str], tall: int) -> str:
    """Set flags in the words of micro-tiles of ``tall`` rows."""
    name = ""
    for g in range(SIDE // tall):
        lines.append(f"%pc{tall}_{g} = math.ctpop %tall{tall}_{g} : i32")
        if g:
            lines.append(f"%sum{tall}_{g} = arith.addi {name}, %pc{tall}_{g} : i32")
        name = f"%sum{tall}_{g}" if g else f"%pc{tall}_{g}"
    return name


def _zero(element: str) -> str:
    return "0" if element.startswith("i") else "0.0"
