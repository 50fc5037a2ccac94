// Evaluates a MutatingAdmissionPolicy as the API server does: which pods it is for, its variables, its JSON patches.
// What the API server has beside the language itself is here: JSONPatch, jsonpatch.escapeKey, indexOf of lists.
import { readFileSync } from 'node:fs'
import { celEnv, celFunc, celMethod, CelScalar, isCelError, isCelList, isCelMap, listType, parse, plan } from '@bufbuild/cel'
import { strings } from '@bufbuild/cel/ext'
import { create, createFileRegistry } from '@bufbuild/protobuf'
import { FieldDescriptorProto_Label, FieldDescriptorProto_Type, FileDescriptorProtoSchema, FileDescriptorSetSchema,
  ValueSchema, file_google_protobuf_struct } from '@bufbuild/protobuf/wkt'
import { toJson } from '@bufbuild/protobuf'
import { Environment } from '@marcbachmann/cel-js'
import { parseAllDocuments } from 'yaml'

export function documents(file) {
  return parseAllDocuments(readFileSync(file, 'utf8')).map(document => {
    if (document.errors.length > 0) throw new Error(`${file}: ${document.errors[0].message}`)
    return document.toJS()
  }).filter(document => document !== null)
}

// JSON as the evaluator takes it: maps, and integers as such.
function toCel(json) {
  if (Array.isArray(json)) return json.map(toCel)
  if (json !== null && typeof json === 'object') return new Map(Object.entries(json).map(([k, v]) => [k, toCel(v)]))
  return Number.isInteger(json) ? BigInt(json) : json
}

function toJS(value) {
  if (isCelList(value)) return [...value].map(toJS)
  if (isCelMap(value)) return Object.fromEntries([...value].map(([k, v]) => [k, toJS(v)]))
  return typeof value === 'bigint' ? Number(value) : value
}

const field = (name, number, type, typeName) =>
  ({ name, number, type, typeName, jsonName: name, label: FieldDescriptorProto_Label.OPTIONAL })
const { STRING, MESSAGE } = FieldDescriptorProto_Type
const patchFile = create(FileDescriptorProtoSchema, { name: 'patch.proto', syntax: 'proto3',
  dependency: ['google/protobuf/struct.proto'],
  messageType: [{ name: 'JSONPatch', field: [field('op', 1, STRING), field('path', 2, STRING), field('from', 3, STRING),
    field('value', 4, MESSAGE, '.google.protobuf.Value')] }] })
const env = celEnv({
  registry: createFileRegistry(create(FileDescriptorSetSchema, { file: [file_google_protobuf_struct.proto, patchFile] })),
  funcs: [...strings,
    celMethod('escapeKey', CelScalar.DYN, [CelScalar.STRING], CelScalar.STRING,
      key => key.replaceAll('~', '~0').replaceAll('/', '~1')),
    celMethod('indexOf', listType(CelScalar.DYN), [CelScalar.DYN], CelScalar.INT, function (element) {
      const wanted = JSON.stringify(toJS(element))
      return BigInt([...this].findIndex(other => JSON.stringify(toJS(other)) === wanted))
    })]
})

function evaluate(expression, bindings) {
  const result = plan(env, parse(expression))(bindings)
  if (isCelError(result)) throw result
  return result
}

// As strict as the API server about types: members of one literal have one type.  A second implementation of the
// language, which has no structures: a patch is a call to it.
export function checkTypes(policy) {
  const strict = new Environment({ homogeneousAggregateLiterals: true })
  for (const name of ['object', 'oldObject', 'request', 'namespaceObject', 'variables', 'jsonpatch'])
    strict.registerVariable(name, 'dyn')
  strict.registerFunction('JSONPatch(dyn): map<string, dyn>', patch => patch)
  strict.registerFunction('dyn.escapeKey(dyn): string', key => key)
  strict.registerFunction('string.replace(string, string): string', text => text)
  strict.registerFunction('list.indexOf(dyn): int', () => 0n)
  const faults = []
  for (const expression of expressions(policy)) {
    const { valid, error } = strict.check(withoutStructures(expression))
    if (!valid) faults.push(`${error.message.split('\n')[0]} in ${expression.slice(0, 60)}`)
  }
  return faults
}

export function expressions({ spec }) {
  return [...spec.matchConditions, ...spec.variables, ...spec.mutations.map(m => m.jsonPatch)].map(e => e.expression)
}

// JSONPatch{op: a, path: b, value: c} becomes JSONPatch({"op": dyn(a), "path": dyn(b), "value": dyn(c)}).
function withoutStructures(expression) {
  const parts = expression.split('JSONPatch{')
  let text = parts.pop()
  while (parts.length > 0) {
    let depth = 0, at = 0, quoted = false
    for (; depth >= 0; at++) {
      if (text[at] === "'") quoted = !quoted
      if (!quoted) depth += '([{'.includes(text[at]) ? 1 : ')]}'.includes(text[at]) ? -1 : 0
    }
    const body = text.slice(0, at - 1).replace(/^\s*op:\s*/, '"op": dyn(').replace(/,\s*path:\s*/, '), "path": dyn(')
      .replace(/,\s*value:\s*/, '), "value": dyn(')
    text = `${parts.pop()}JSONPatch({${body})})${text.slice(at)}`
  }
  return text
}

function pointer(path) {
  return path.split('/').slice(1).map(key => key.replaceAll('~1', '/').replaceAll('~0', '~'))
}

// RFC 6902 as far as the policy uses it.
function applyPatch(object, { op, path, value }) {
  const keys = pointer(path)
  const last = keys.pop()
  let parent = object
  for (const key of keys) {
    parent = parent[key]
    if (parent === undefined) throw new Error(`${path}: there is no ${key}`)
  }
  if (op !== 'add') throw new Error(`${op} is not known here`)
  if (!Array.isArray(parent)) parent[last] = value
  else if (last === '-') parent.push(value)
  else if (Number(last) <= parent.length) parent.splice(Number(last), 0, value)
  else throw new Error(`${path}: beyond the end`)
}

// What becomes of a pod that is created in that namespace; itself, unchanged, where the policy is not for it.
export function admit(policy, pod, namespace) {
  const bindings = { object: toCel(pod), namespaceObject: toCel(namespace), jsonpatch: 'jsonpatch' }
  for (const { expression } of policy.spec.matchConditions)
    if (evaluate(expression, bindings) !== true) return pod
  const variables = new Map()
  for (const { name, expression } of policy.spec.variables)
    variables.set(name, toCel(toJS(evaluate(expression, { ...bindings, variables }))))
  let object = structuredClone(pod)
  for (const { jsonPatch } of policy.spec.mutations)
    for (const patch of evaluate(jsonPatch.expression, { ...bindings, variables })) {
      const { op, path, value } = patch.message ?? patch
      applyPatch(object, { op, path, value: toJson(ValueSchema, value) })
    }
  return object
}

export function isBound(binding, namespace) {
  return binding.spec.matchResources.namespaceSelector.matchExpressions.every(({ key, operator, values }) => {
    if (operator !== 'NotIn') throw new Error(`${operator} is not known here`)
    return !values.includes(namespace.metadata.labels[key])
  })
}
