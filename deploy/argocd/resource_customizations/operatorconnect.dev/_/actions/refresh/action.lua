-- Any new value triggers an immediate reconcile. Git does not have the annotation, so a sync leaves it alone.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["operatorconnect.dev/reconcile-requested-at"] = os.date("!%Y-%m-%dT%XZ")
return obj
