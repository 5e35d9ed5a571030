// The instanced meshes: the shadow pass and the lit main pass.

struct Vertex {
    @location(0) position: vec3f,
    @location(1) normal: vec3f,
    @location(2) uv: vec2f,
}

struct Instance {
    @location(3) position: vec3f,
    @location(4) scale: vec3f,
    @location(5) rotation: vec4f,
    @location(6) color: vec3f,
    // texture layer, roughness, metalness, emission
    @location(7) surface: vec4f,
}

struct Varyings {
    @builtin(position) clip: vec4f,
    @location(0) world: vec3f,
    @location(1) normal: vec3f,
    @location(2) uv: vec2f,
    @location(3) @interpolate(flat) color: vec3f,
    @location(4) @interpolate(flat) surface: vec4f,
    @location(5) sun: vec3f,
}

@group(0) @binding(1) var shadow_map: texture_depth_2d;
@group(0) @binding(2) var shadow_sampler: sampler_comparison;
@group(0) @binding(3) var albedo: texture_2d_array<f32>;
@group(0) @binding(4) var albedo_sampler: sampler;

fn rotate(q: vec4f, v: vec3f) -> vec3f {
    let t = 2.0 * cross(q.xyz, v);
    return v + q.w * t + cross(q.xyz, t);
}

fn to_world(vertex: Vertex, instance: Instance) -> vec3f {
    return rotate(instance.rotation, vertex.position * instance.scale) + instance.position;
}

@vertex
fn vs_shadow(vertex: Vertex, instance: Instance) -> @builtin(position) vec4f {
    return globals.sun_view_projection * vec4f(to_world(vertex, instance), 1.0);
}

@vertex
fn vs_main(vertex: Vertex, instance: Instance) -> Varyings {
    var out: Varyings;
    out.world = to_world(vertex, instance);
    out.clip = globals.view_projection * vec4f(out.world, 1.0);
    out.normal = rotate(instance.rotation, vertex.normal / instance.scale);
    // Walls keep their texel density when a pillar is stretched.
    out.uv = vec2f(vertex.uv.x, vertex.uv.y * instance.scale.y);
    out.color = instance.color;
    out.surface = instance.surface;
    let sun = globals.sun_view_projection * vec4f(out.world, 1.0);
    out.sun = vec3f(sun.xy * vec2f(0.5, -0.5) + 0.5, sun.z);
    return out;
}

fn lit_by_sun(coordinate: vec3f) -> f32 {
    let inside = all(coordinate.xy > vec2f(0.0)) && all(coordinate.xy < vec2f(1.0));
    let texel = 1.0 / f32(textureDimensions(shadow_map).x);
    var sum = 0.0;
    sum += textureSampleCompareLevel(shadow_map, shadow_sampler, coordinate.xy + vec2f(-0.6, -0.3) * texel, coordinate.z);
    sum += textureSampleCompareLevel(shadow_map, shadow_sampler, coordinate.xy + vec2f(0.6, 0.3) * texel, coordinate.z);
    return select(1.0, sum * 0.5, inside);
}

@fragment
fn fs_main(in: Varyings) -> @location(0) vec4f {
    let texel = textureSample(albedo, albedo_sampler, in.uv, u32(in.surface.x));
    let base = in.color * texel.rgb;
    let roughness = clamp(in.surface.y * (0.6 + 0.8 * texel.a), 0.08, 1.0);
    let metalness = in.surface.z;

    let normal = normalize(in.normal);
    let to_eye = globals.eye.xyz - in.world;
    let distance = length(to_eye);
    let view = to_eye / distance;
    let facing = max(dot(normal, view), 0.0);

    // Ambient: the sky above, warm bounce from below.
    let up = normal.y * 0.5 + 0.5;
    let ambient = mix(vec3f(0.16, 0.09, 0.10), vec3f(0.20, 0.24, 0.44), up);
    let diffuse = base * (1.0 - metalness);
    var color = diffuse * ambient;

    // The sun: Lambert and a normalised Blinn-Phong lobe.
    let sun = globals.sun_direction.xyz;
    let cosine = max(dot(normal, sun), 0.0);
    let specular_color = mix(vec3f(0.04), base, metalness);
    let power = 2.0 / (roughness * roughness * roughness + 0.001);
    let half_vector = normalize(sun + view);
    let lobe = pow(max(dot(normal, half_vector), 0.0), power) * (power + 8.0) * 0.04;
    let visible = lit_by_sun(in.sun) * cosine;
    color += globals.sun_color.rgb * visible * (diffuse + specular_color * lobe);

    // The glowing orbs.
    for (var i = 0u; i < 6u; i++) {
        let offset = globals.lights[i].position.xyz - in.world;
        let squared = dot(offset, offset);
        let radius = globals.lights[i].position.w;
        let window = max(1.0 - squared / (radius * radius), 0.0);
        let incidence = max(dot(normal, offset), 0.0) * inverseSqrt(squared + 0.01);
        color += globals.lights[i].color.rgb * base * (incidence * window * window / (squared * 0.35 + 0.4));
    }

    // The sky's reflection, stronger at grazing angles.
    let grazing = 1.0 - facing;
    let fresnel = specular_color + (1.0 - specular_color) * (grazing * grazing * grazing * grazing * grazing);
    color += sky(reflect(-view, normal)) * fresnel * ((1.0 - roughness) * (1.0 - roughness));

    color += in.color * in.surface.w;

    // Fog towards the horizon's colour.
    let fog = 1.0 - exp(-max(distance - 26.0, 0.0) * 0.022);
    let haze = sky(vec3f(-view.x, max(-view.y, 0.02), -view.z));
    return vec4f(mix(color, haze, fog), 1.0);
}
