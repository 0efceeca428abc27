"""Programs for the GPU tests of elementwise ops and reductions: one ``linalg.generic`` each."""


def mapped(maps, types, body, *, dims, iterators=None, init=None, sizes=()):
    """One ``linalg.generic``: operand types are inputs, then the result; ``sizes``: (operand, dim) per dynamic one."""
    *ins, out = types
    names = [f"%a{i}" for i in range(len(ins))]
    arguments = ", ".join(f"{n}: {t}" for n, t in zip(names, ins))
    element = "index" if "index" in out else out[out.rfind("x") + 1 : -1] if "x" in out else out[7:-1]
    sized = "\n".join(
        f"%c{i} = arith.constant {d} : index\n  %d{i} = tensor.dim %a{o}, %c{i} : {ins[o]}"
        for i, (o, d) in enumerate(sizes)
    )
    empty = f"%e = tensor.empty({', '.join(f'%d{i}' for i in range(len(sizes)))}) : {out}"
    fill = ""
    if init is not None:
        fill = (
            f"%z = arith.constant {init} : {element}\n  %i = linalg.fill ins(%z : {element}) outs(%e : {out}) -> {out}"
        )
    listed = ", ".join(f"affine_map<({dims}) -> ({m})>" for m in maps)
    kinds = iterators or ["parallel"] * len(dims.split(","))
    return f"""
func.func @f({arguments}) -> {out} {{
  {sized}
  {empty}
  {fill}
  %r = linalg.generic {{indexing_maps = [{listed}], iterator_types = [{", ".join(f'"{k}"' for k in kinds)}]}}
      ins({", ".join(names)} : {", ".join(ins)}) outs({"%i" if fill else "%e"} : {out}) {{
  {body}
  }} -> {out}
  return %r : {out}
}}"""


ADD = """^bb0(%x: f32, %y: f32, %o: f32):
    %s = arith.addf %x, %y : f32
    linalg.yield %s : f32"""


def unary(op, element="f32"):
    body = f"""^bb0(%x: {element}, %o: {element}):
    {op}
    linalg.yield %r : {element}"""
    types = [f"tensor<?x{element}>"] * 2
    return mapped(["i", "i"], types, body, dims="i", sizes=[(0, 0)])


def powers(exponent):
    return f"%c = arith.constant {exponent} : f32\n    %r = math.powf %x, %c : f32"


def reduction(axis, element, op, init, known=None):
    body = f"""^bb0(%x: {element}, %o: {element}):
    %r = arith.{op} %x, %o : {element}
    linalg.yield %r : {element}"""
    m, n = known or ("?", "?")
    left = (m, n)[1 - axis]
    types = [f"tensor<{m}x{n}x{element}>", f"tensor<{left}x{element}>"]
    kinds = ["reduction", "parallel"] if axis == 0 else ["parallel", "reduction"]
    sizes = [] if known else [(0, 1 - axis)]
    out = "ij"[1 - axis]
    return mapped(["i, j", out], types, body, dims="i, j", iterators=kinds, init=init, sizes=sizes)
