-- Whether the operator can work with a Live Platform, as Argo CD health. The table in docs/gitops.md has the rules.
local health = { status = "Progressing", message = "The operator has not reconciled it yet." }
if obj.status == nil or obj.status.conditions == nil then
  return health
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local ready = conditions["Ready"]
local generation = obj.metadata.generation
if ready == nil or obj.status.observedGeneration ~= generation or ready.observedGeneration ~= generation then
  return health
end

health.message = ready.message
-- What waits for a person does not stop the rest of the platform's work. It is reported, but is not Degraded.
for _, held in ipairs({ "DeletionsHeld", "AbsencesHeld" }) do
  if conditions[held] ~= nil and conditions[held].status == "True" then
    health.message = health.message .. " " .. conditions[held].message
  end
end
local discovered = conditions["LeadsDiscovered"]
if discovered ~= nil and discovered.status == "False" and discovered.message ~= ready.message then
  health.message = health.message .. " " .. discovered.message
end
if conditions["Reconciling"] ~= nil and conditions["Reconciling"].status == "True" then
  return health
end
if conditions["Stalled"] ~= nil and conditions["Stalled"].status == "True" then
  health.status = "Degraded"
  return health
end
if obj.metadata.deletionTimestamp == nil and ready.status == "True" then
  health.status = "Healthy"
end
return health
