// Writes what the types of @grafana/schema say about dashboards as data that tests read:
//   npm install typescript@5 && npm pack @grafana/schema@12.4.11 && tar xzf grafana-schema-12.4.11.tgz
//   node extract.js package > 12.json
// A type is a name of a primitive, a list of the values that it may have, {array: type}, {any: [types]}, {object: name}.
const ts = require("typescript"), fs = require("fs"), path = require("path");

const root = path.resolve(process.argv[2], "dist");
const files = fs.readdirSync(root, { recursive: true }).filter((name) => name.endsWith(".d.ts"));
const inside = (folder) => {
  const found = files.find((file) => file.includes(folder) && file.endsWith("types.gen.d.ts") && !file.includes("cjs"));
  if (!found) throw new Error(`nothing in ${folder} of ${root}`);
  return path.join(root, found);
};
const panel = (name) => inside(`raw/composable/${name}/panelcfg/x/`);
const common = path.join(root, files.find((file) => file.endsWith("common/common.gen.d.ts") && !file.includes("cjs")));
const index = path.resolve(root, files.find((file) => path.basename(file) === "index.d.ts" && path.dirname(file).split(path.sep).length === 1 && !file.includes("cjs")));
const dashboard = inside("raw/dashboard/x/");
const wanted = {
  dashboard: [dashboard, "Dashboard"],
  panel: [dashboard, "Panel"],
  row: [dashboard, "RowPanel"],
  stat: [panel("stat"), "Options"],
  timeseries: [panel("timeseries"), "Options"],
  "timeseries-custom": [common, "GraphFieldConfig"],
  "state-timeline": [panel("statetimeline"), "Options"],
  "state-timeline-custom": [panel("statetimeline"), "FieldConfig"],
  table: [panel("table"), "Options"],
  "table-custom": [common, "TableFieldOptions"],
  heatmap: [panel("heatmap"), "Options"],
};
const program = ts.createProgram([...new Set(Object.values(wanted).map(([file]) => file))], {
  strict: true,
  module: ts.ModuleKind.CommonJS,
  moduleResolution: ts.ModuleResolutionKind.Node10,
  paths: { "@grafana/schema": [index] }, // by which its parts name each other
});
const checker = program.getTypeChecker();
const objects = {}, names = new Map();

function described(type) {
  if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return "any";
  if (type.flags & ts.TypeFlags.BooleanLike) return "boolean";
  if (type.isStringLiteral() || type.isNumberLiteral()) return [type.value];
  if (type.flags & ts.TypeFlags.StringLike && !type.isUnion()) return "string";
  if (type.flags & ts.TypeFlags.NumberLike && !type.isUnion()) return "number";
  if (type.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Null)) return "null";
  if (type.isUnion()) {
    const parts = type.types.map(described), values = parts.filter(Array.isArray).flat();
    const rest = [...new Set(parts.filter((part) => !Array.isArray(part)).map((part) => JSON.stringify(part)))];
    const all = [...rest.map((part) => JSON.parse(part)), ...(values.length ? [values] : [])];
    return all.length === 1 ? all[0] : { any: all };
  }
  if (checker.isArrayType(type)) return { array: described(checker.getTypeArguments(type)[0]) };
  if (type.flags & ts.TypeFlags.Object || type.isIntersection()) return { object: object(type) };
  return "any";
}

function object(type) {
  if (names.has(type)) return names.get(type);
  const symbol = type.aliasSymbol || type.symbol;
  const base = symbol && !symbol.name.startsWith("__") ? symbol.name : "Inline";
  let name = base;
  for (let number = 2; name in objects; number++) name = `${base}${number}`;
  names.set(type, name);
  const found = (objects[name] = { fields: {} });
  for (const property of checker.getPropertiesOfType(type)) {
    const optional = Boolean(property.flags & ts.SymbolFlags.Optional);
    found.fields[property.name + (optional ? "" : "!")] = described(checker.getTypeOfSymbol(property));
  }
  const others = checker.getIndexTypeOfType(type, ts.IndexKind.String);
  if (others) found.others = described(others);
  return name;
}

const types = {};
for (const [key, [file, ...exported]] of Object.entries(wanted)) {
  const all = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)));
  const symbol = all.find((one) => exported.includes(one.name));
  if (!symbol) throw new Error(`${file} has no ${exported}: ${all.map((one) => one.name)}`);
  types[key] = object(checker.getDeclaredTypeOfSymbol(symbol));
}
console.log(JSON.stringify({ version: JSON.parse(fs.readFileSync(path.join(root, "../package.json"))).version, types, objects }));
