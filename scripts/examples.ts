/**
 * The examples of doc comments, as modules that tests can run: every fenced `ts` block behind `@example`.
 *
 * A line `expression // => value`, or `// => value` below the line of its expression, becomes an assertion.
 */
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"

/** An example of a source file. */
export interface Example {
  /** `src/Exec.ts:45`. */
  readonly name: string
  /** The module that runs it. */
  readonly file: string
}

const block = /@example\n((?: *\* ?.*\n)*?) *\* ?```ts\n((?: *\*.*\n)*?) *\* ?```/g

const uncomment = (text: string): ReadonlyArray<string> =>
  text.split("\n").slice(0, -1).map((line) => line.replace(/^ *\* ?/, ""))

const assertion = (expression: string, value: string): string => `__same(await (${expression}), ${value})`

/** The lines as a module. */
const toModule = (lines: ReadonlyArray<string>): string => {
  const code: Array<string> = []
  for (const line of lines) {
    const inline = /^(\S.*?)\s*\/\/ => (.+)$/.exec(line)
    const below = /^\/\/ => (.+)$/.exec(line)
    if (below?.[1] !== undefined) code.push(assertion(code.pop() ?? "", below[1]))
    else if (inline?.[1] !== undefined && inline[2] !== undefined) {
      code.push(assertion(inline[1].replace(/^await /, ""), inline[2]))
    } else code.push(line)
  }
  return `import { deepStrictEqual as __same } from "node:assert"\n${code.join("\n")}\nvoid __same\nexport {}\n`
}

const compilerOptions = {
  noEmit: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: true,
  module: "nodenext",
  target: "es2023",
  lib: ["es2024", "dom", "dom.iterable"],
  types: ["node"],
  allowImportingTsExtensions: true
}

/** Writes the examples of a package into a folder of it, where imports resolve as for its users, and a project for `tsc`. */
export const extract = (packageFolder: string): ReadonlyArray<Example> => {
  const folder = join(packageFolder, ".examples")
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const examples: Array<Example> = []
  for (const source of globSync("src/**/*.ts", { cwd: packageFolder }).sort()) {
    if (source.startsWith(join("src", "apis"))) continue
    const text = readFileSync(join(packageFolder, source), "utf8")
    for (const match of text.matchAll(block)) {
      const line = text.slice(0, match.index).split("\n").length
      const file = join(folder, `${relative("src", source).replaceAll(/[/.]/g, "-")}-${line}.ts`)
      writeFileSync(file, toModule(uncomment(match[2] ?? "")))
      examples.push({ name: `${source}:${line}`, file })
    }
  }
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }))
  return examples
}
