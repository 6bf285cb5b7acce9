import * as Path from "node:path"
import ts from "typescript"

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  lib: ["lib.es2023.d.ts"],
  module: ts.ModuleKind.NodeNext,
  moduleDetection: ts.ModuleDetectionKind.Force,
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  isolatedDeclarations: true,
  declaration: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  noUnusedLocals: true,
  allowImportingTsExtensions: true,
  noEmit: true,
  types: []
}

/** The errors of TypeScript 5.9 in files of the disk and in texts that stand for files. */
export const typeCheck = (
  files: ReadonlyArray<string>,
  texts: Readonly<Record<string, string>> = {}
): ReadonlyArray<string> => {
  const host = ts.createCompilerHost(options)
  const virtual = new Map(Object.entries(texts).map(([file, text]) => [Path.resolve(file), text]))
  const { fileExists, readFile } = host
  const program = ts.createProgram([...files, ...virtual.keys()], options, {
    ...host,
    directoryExists: () => true,
    fileExists: (file) => virtual.has(file) || fileExists(file),
    readFile: (file) => virtual.get(file) ?? readFile(file),
    getSourceFile: (file, languageVersion) => {
      const text = virtual.get(file) ?? readFile(file)
      return text === undefined ? undefined : ts.createSourceFile(file, text, languageVersion)
    }
  })
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText, start }) => {
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start ?? 0).line + 1
    return `${Path.basename(file?.fileName ?? "")}:${line} ${ts.flattenDiagnosticMessageText(messageText, "\n")}`
  })
}
